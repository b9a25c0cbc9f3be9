// Restores pictures on iOS with a TFLite file of keras_rednet for any size (float32, float16 or dynamic).
//
//     pod 'TensorFlowLiteSwift'
//
//     let network = try Rednet(path: Bundle.main.path(forResource: "denoise-float16", ofType: "tflite")!, channels: 3)
//     let restored = try network.restore(values, width: width, height: height)
//
// `channels` and `multiple` stand in the .json beside the file. Large photos must be cut into tiles that overlap by its
// `halo`, as export/litert/restore.py does. Threads that share a Rednet wait for each other. This file was not compiled
// where it was written; that program and export/c/restore.c, which pads in the same way, are tested.
import Foundation
import TensorFlowLite

public final class Rednet {
  private let interpreter: Interpreter
  private let turn = NSLock() // the interpreter has one place for its image
  private let channels: Int
  private let multiple: Int

  public init(path: String, channels: Int, multiple: Int = 2, threads: Int = 2) throws {
    var options = Interpreter.Options()
    options.threadCount = threads
    options.isXNNPackEnabled = true
    interpreter = try Interpreter(modelPath: path, options: options)
    self.channels = channels
    self.multiple = multiple
  }

  /// Restores values in [0, 1], row by row, the channels of a pixel side by side.
  public func restore(_ values: [Float], width: Int, height: Int) throws -> [Float] {
    precondition(values.count == width * height * channels, "expected width * height * channels values")
    let paddedWidth = (width + multiple - 1) / multiple * multiple
    let paddedHeight = (height + multiple - 1) / multiple * multiple
    var padded = [Float](repeating: 0, count: paddedWidth * paddedHeight * channels)
    for y in 0..<paddedHeight {
      for x in 0..<paddedWidth {
        let from = (Rednet.reflect(y, height) * width + Rednet.reflect(x, width)) * channels
        let to = (y * paddedWidth + x) * channels
        for c in 0..<channels { padded[to + c] = values[from + c] }
      }
    }
    turn.lock()
    defer { turn.unlock() }
    try interpreter.resizeInput(at: 0, to: Tensor.Shape([1, paddedHeight, paddedWidth, channels]))
    try interpreter.allocateTensors()
    try interpreter.copy(padded.withUnsafeBufferPointer { Data(buffer: $0) }, toInputAt: 0)
    try interpreter.invoke()
    let output = try interpreter.output(at: 0).data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    var restored = [Float]()
    restored.reserveCapacity(values.count)
    for y in 0..<height {
      let start = y * paddedWidth * channels
      restored.append(contentsOf: output[start..<(start + width * channels)])
    }
    return restored
  }

  private static func reflect(_ position: Int, _ size: Int) -> Int {
    if position < size { return position }
    return size > position - size + 1 ? 2 * (size - 1) - position : size - 1
  }
}
