// SPDX-License-Identifier: MIT
// Restores photos on iOS with a TFLite file of keras_rednet.
//
//     use_frameworks!
//     pod 'TensorFlowLiteSwift', '2.17.0'  # CocoaPods takes no newer ones from December 2026 on
//
//     let path = Bundle.main.path(forResource: "red20-fast-denoise-jpeg-color-v2-int8", ofType: "tflite")!
//     let network = try Rednet(path: path)
//     let format = UIGraphicsImageRendererFormat()
//     (format.scale, format.opaque, format.preferredRange) = (photo.scale, true, .standard)
//     let upright = UIGraphicsImageRenderer(size: photo.size, format: format).image { _ in photo.draw(at: .zero) }
//     let restored = UIImage(cgImage: try network.restore(upright.cgImage!), scale: photo.scale, orientation: .up)
//
// NAME.json stands beside NAME.tflite in the bundle. Any of the files will do: on a server's processor int8 was four times
// as fast as float32 and float16. `delegates` such as MetalDelegate (subspec Metal) want a file of fixed size, which photos
// that are smaller are reflected to fill, at a price near their borders; where one computes in half precision, what grows
// above 65504 comes out as white or black, or as NaN, which is refused. Networks for super-resolution do not enlarge: they
// want a photo that was, bicubic.
//
// A large photo takes minutes: restore it off the main thread. Beside it, a copy and the restored one, 4 bytes a pixel each,
// a tile is in memory and what TensorFlow Lite needs for it, some hundred megabytes for 512x512 with a fast network and more
// than a gigabyte with RED30 itself, for which 256 is better as `side`. (Smaller tiles compute more: of 12 megapixels the
// fast RED30 computes each 1.7 times at 512, 3.5 times at 256.) Tiles overlap by the network's reach, so the result is that
// of the whole photo. Threads that share a Rednet take turns. Tested with stand-ins for Core Graphics and TensorFlow Lite
// (tests/slow/test_apps.py), not on a phone.
import CoreGraphics
import CryptoKit
import Foundation
import TensorFlowLite

public enum RednetError: Error {
  case outOfMemory
  case anotherFile // the .json is not that of the .tflite: take both from one export
  case unfit(side: Int, halo: Int, multiple: Int) // tiles must be larger than 2 * halo, and multiples of that
  case notANumber // half precision overflowed: use no delegate
}

/// A network for R, G and B, for each of them by itself ("gray"), or for the luminance of photos.
public final class Rednet {
  private struct About: Decodable {
    let channels, halo, size_multiple: Int
    let size: [Int]?
    let type, color, task, sha256: String
  }

  private let interpreter: Interpreter
  private let turn = NSLock() // the interpreter has one place for its image
  private let about: About
  private let tile: (height: Int, width: Int)
  private var shape = [Int]()

  /// `side`: of the tiles, for a file for any size.
  public init(path: String, side: Int = 512, threads: Int = 2, delegates: [Delegate] = []) throws {
    let beside = URL(fileURLWithPath: path).deletingPathExtension().appendingPathExtension("json")
    about = try JSONDecoder().decode(About.self, from: Data(contentsOf: beside))
    let digest = SHA256.hash(data: try Data(contentsOf: URL(fileURLWithPath: path)))
    if digest.map({ String(format: "%02x", $0) }).joined() != about.sha256 { throw RednetError.anotherFile }
    tile = about.size.map { ($0[0], $0[1]) } ?? (side, side)
    for side in [tile.height, tile.width] where side <= 2 * about.halo || side % about.size_multiple != 0 {
      throw RednetError.unfit(side: side, halo: about.halo, multiple: about.size_multiple)
    }
    var options = Interpreter.Options()
    options.threadCount = threads
    options.isXNNPackEnabled = delegates.isEmpty
    interpreter = try Interpreter(modelPath: path, options: options, delegates: delegates)
    if let size = about.size {
      shape = [1, size[0], size[1], about.channels]
      try interpreter.allocateTensors()
    }
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
    let window = (height: self.window(height, tile.height), width: self.window(width, tile.width))
    let (rows, columns) = (spans(height, tile.height), spans(width, tile.width))
    var done = 0
    for y in rows {
      for x in columns {
        try onTile(done, rows.count * columns.count)
        done += 1
        var values = [Float]()
        values.reserveCapacity(3 * window.height * window.width)
        for row in y.start..<(y.start + window.height) {
          for column in x.start..<(x.start + window.width) {
            let pixel = 4 * (Rednet.reflect(row, height) * width + Rednet.reflect(column, width))
            for color in 0..<3 { values.append(Float(from[pixel + color]) / 255) }
          }
        }
        try restore(&values, window.height, window.width)
        for row in y.begin..<y.end {
          for column in x.begin..<x.end {
            let value = 3 * ((row - y.start) * window.width + column - x.start)
            for color in 0..<3 {
              to[4 * (row * width + column) + color] = UInt8((255 * min(max(values[value + color], 0), 1)).rounded())
            }
          }
        }
      }
    }
    guard let image = target.makeImage() else { throw RednetError.outOfMemory }
    return image
  }

  /// Restores R, G and B of a tile's pixels, in place.
  private func restore(_ values: inout [Float], _ height: Int, _ width: Int) throws {
    if about.channels == 3 {
      values = try run(values, [1, height, width, 3])
      return
    }
    let isLuminance = about.color == "luminance"
    if isLuminance { Rednet.multiply(&values, Rednet.ycbcr, Rednet.offset) }
    for plane in 0..<(isLuminance && about.task != "deblock" ? 1 : 3) { // JPEG spoils colours as well
      let pixels = stride(from: plane, to: values.count, by: 3)
      let restored = try run(pixels.map { values[$0] }, [1, height, width, 1])
      for (i, pixel) in pixels.enumerated() { values[pixel] = restored[i] }
    }
    if isLuminance { Rednet.multiply(&values, Rednet.rgb, Rednet.black) }
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
    let isInteger = about.type == "uint8"
    let pixels = isInteger ? Data(values.map { UInt8((255 * min(max($0, 0), 1)).rounded()) }) : Data()
    try interpreter.copy(isInteger ? pixels : values.withUnsafeBufferPointer { Data(buffer: $0) }, toInputAt: 0)
    try interpreter.invoke()
    let data = try interpreter.output(at: 0).data
    let restored = isInteger ? data.map { Float($0) / 255 } : data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    if restored.contains(where: { $0.isNaN }) { throw RednetError.notANumber }
    return restored
  }

  /// Where a tile starts, and from where to where its pixels are those of the whole photo.
  private struct Span {
    let start, begin, end: Int
  }

  private func padded(_ size: Int) -> Int {
    return (size + about.size_multiple - 1) / about.size_multiple * about.size_multiple
  }

  private func window(_ size: Int, _ side: Int) -> Int {
    return about.size == nil ? min(side, padded(size)) : side
  }

  private func spans(_ size: Int, _ side: Int) -> [Span] {
    let (padded, halo, multiple) = (self.padded(size), about.halo, about.size_multiple)
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
    let period = max(2 * (size - 1), 1)
    return min(position % period, period - position % period)
  }

  // ITU-R BT.601, studio range, values in [0, 1]: rows are Y, Cb and Cr for R, G and B; then the way back.
  private static let ycbcr: [[Float]] = [
    [0.2567882, 0.5041294, 0.0979059], [-0.1482235, -0.2909922, 0.4392157], [0.4392157, -0.3677882, -0.0714275],
  ]
  private static let offset: [Float] = [16.0 / 255, 128.0 / 255, 128.0 / 255]
  private static let rgb: [[Float]] = [
    [1.1643836, 0, 1.5960269], [1.1643836, -0.3917625, -0.8129683], [1.1643836, 2.0172326, 0],
  ]
  private static let black: [Float] = [-0.8742024, 0.5316683, -1.0856326]

  /// Replaces the three values of each pixel by a matrix times them, and an offset.
  private static func multiply(_ values: inout [Float], _ matrix: [[Float]], _ offset: [Float]) {
    for i in stride(from: 0, to: values.count, by: 3) {
      let (a, b, c) = (values[i], values[i + 1], values[i + 2])
      for k in 0..<3 { values[i + k] = matrix[k][0] * a + matrix[k][1] * b + matrix[k][2] * c + offset[k] }
    }
  }
}
