// Restores photos on iOS with a TFLite file of keras_rednet for any size (float32, float16 or dynamic).
//
//     pod 'TensorFlowLiteSwift'
//
//     let path = Bundle.main.path(forResource: "denoise-float16", ofType: "tflite")!
//     let network = try Rednet(path: path, channels: 3, halo: 60)
//     let format = UIGraphicsImageRendererFormat()
//     format.scale = photo.scale
//     let upright = UIGraphicsImageRenderer(size: photo.size, format: format).image { _ in photo.draw(at: .zero) }
//     let restored = UIImage(cgImage: try network.restore(upright.cgImage!), scale: photo.scale, orientation: .up)
//
// `channels`, `halo` and `multiple` (`size_multiple`) stand in the .json beside the file. A network of one channel
// restores R, G and B each by itself; one for luminance does not belong here. A large photo takes minutes: restore it off
// the main thread. Beside it, a copy and the restored one, a tile of `side` x `side` pixels is in memory and what
// TensorFlow Lite needs for it, some hundred megabytes at 512 with a fast network and more than a gigabyte with RED30
// itself, for which 256 is better. Tiles overlap by `halo`, so the result is that of the whole photo. Threads that share a
// Rednet take turns. Tested with stand-ins for Core Graphics and TensorFlow Lite (tests/slow/test_apps.py), not on a phone.
import CoreGraphics
import Foundation
import TensorFlowLite

public enum RednetError: Error {
  case outOfMemory
}

public final class Rednet {
  private let interpreter: Interpreter
  private let turn = NSLock() // the interpreter has one place for its image
  private let channels: Int
  private let halo: Int
  private let multiple: Int
  private let side: Int
  private var shape = [Int]()

  public init(path: String, channels: Int, halo: Int, multiple: Int = 2, side: Int = 512, threads: Int = 2) throws {
    precondition(channels == 1 || channels == 3, "channels must be 1 or 3")
    precondition(
      side > 2 * halo && side % multiple == 0, "side must be a multiple of \(multiple) above \(2 * halo) pixels")
    var options = Interpreter.Options()
    options.threadCount = threads
    options.isXNNPackEnabled = true
    interpreter = try Interpreter(modelPath: path, options: options)
    self.channels = channels
    self.halo = halo
    self.multiple = multiple
    self.side = side
  }

  /// Restores a photo and returns it in 8-bit sRGB, opaque, of the same size. `onTile` is called before each tile, with
  /// how many of how many are done; what it throws, such as `Task.checkCancellation()` does, ends the work.
  public func restore(_ photo: CGImage, onTile: (_ done: Int, _ count: Int) throws -> Void = { _, _ in }) throws
    -> CGImage
  {
    let (width, height) = (photo.width, photo.height)
    let (source, from) = try Rednet.canvas(width, height)
    let (target, to) = try Rednet.canvas(width, height)
    defer { withExtendedLifetime((source, target)) {} } // they own what `from` and `to` point to
    source.draw(photo, in: CGRect(x: 0, y: 0, width: width, height: height))
    let (windowHeight, windowWidth) = (window(height), window(width))
    let planes = channels == 3 ? [[0, 1, 2]] : [[0], [1], [2]]
    let (rows, columns) = (spans(height), spans(width))
    var done = 0
    for y in rows {
      for x in columns {
        try onTile(done, rows.count * columns.count)
        done += 1
        for colors in planes {
          var values = [Float]()
          values.reserveCapacity(windowHeight * windowWidth * channels)
          for row in y.start..<(y.start + windowHeight) {
            for column in x.start..<(x.start + windowWidth) {
              let pixel = 4 * (Rednet.reflect(row, height) * width + Rednet.reflect(column, width))
              for color in colors { values.append(Float(from[pixel + color]) / 255) }
            }
          }
          let restored = try run(values, [1, windowHeight, windowWidth, channels])
          for row in y.begin..<y.end {
            for column in x.begin..<x.end {
              let value = ((row - y.start) * windowWidth + column - x.start) * channels
              for (i, color) in colors.enumerated() {
                to[4 * (row * width + column) + color] = UInt8((255 * min(max(restored[value + i], 0), 1)).rounded())
              }
            }
          }
        }
      }
    }
    guard let image = target.makeImage() else { throw RednetError.outOfMemory }
    return image
  }

  private func run(_ values: [Float], _ wanted: [Int]) throws -> [Float] {
    turn.lock()
    defer { turn.unlock() }
    if shape != wanted {
      shape = [] // unknown, if one of these fails
      try interpreter.resizeInput(at: 0, to: Tensor.Shape(wanted))
      try interpreter.allocateTensors()
      shape = wanted
    }
    try interpreter.copy(values.withUnsafeBufferPointer { Data(buffer: $0) }, toInputAt: 0)
    try interpreter.invoke()
    return try interpreter.output(at: 0).data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
  }

  /// Where a tile starts, and from where to where its pixels are those of the whole photo.
  private struct Span {
    let start, begin, end: Int
  }

  private func window(_ size: Int) -> Int {
    return min(side, (size + multiple - 1) / multiple * multiple)
  }

  private func spans(_ size: Int) -> [Span] {
    let padded = (size + multiple - 1) / multiple * multiple
    if padded <= side { return [Span(start: 0, begin: 0, end: size)] }
    let step = side - 2 * halo
    let count = (padded - 2 * halo + step - 1) / step
    // Starts on multiples keep a network with strides on the grid of the whole photo.
    let starts = (0..<count).map { $0 * (padded - side) / (count - 1) / multiple * multiple }
    return (0..<count).map { i in
      Span(
        start: starts[i], begin: i == 0 ? 0 : starts[i] + halo, end: i == count - 1 ? size : starts[i + 1] + halo)
    }
  }

  private static func canvas(_ width: Int, _ height: Int) throws -> (CGContext, UnsafeMutablePointer<UInt8>) {
    guard
      let space = CGColorSpace(name: CGColorSpace.sRGB),
      let context = CGContext(
        data: nil, width: width, height: height, bitsPerComponent: 8, bytesPerRow: 4 * width, space: space,
        bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue),
      let data = context.data
    else { throw RednetError.outOfMemory }
    return (context, data.bindMemory(to: UInt8.self, capacity: 4 * width * height))
  }

  private static func reflect(_ position: Int, _ size: Int) -> Int {
    if position < size { return position }
    return size > position - size + 1 ? 2 * (size - 1) - position : size - 1
  }
}
