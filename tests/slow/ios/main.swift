import CoreGraphics
import CryptoKit
import Foundation
import TensorFlowLite

final class Accelerator: Delegate {}

func reflected(_ position: Int, _ size: Int) -> Int {
  var (place, step) = (0, 1)
  for _ in 0..<position where size > 1 {
    if place + step < 0 || place + step == size { step = -step }
    place += step
  }
  return place
}

struct File {
  var channels = 3, multiple = 1, halo = 4
  var size = "null", type = "float32", color = "rgb", task = "denoise"

  func rednet(side: Int = 64, delegates: [Delegate] = [], described: String = "test") throws -> Rednet {
    let path = NSTemporaryDirectory() + "network"
    try "test".write(toFile: path + ".tflite", atomically: true, encoding: .utf8)
    let sha256 = SHA256.hash(data: described.data(using: .utf8)!).map { String(format: "%02x", $0) }.joined()
    let text = """
      {"channels": \(channels), "halo": \(halo), "size_multiple": \(multiple), "size": \(size), "type": "\(type)",
       "color": "\(color)", "task": "\(task)", "sha256": "\(sha256)", "more": [1]}
      """
    try text.write(toFile: path + ".json", atomically: true, encoding: .utf8)
    return try Rednet(path: path + ".tflite", side: side, delegates: delegates)
  }
}

// ITU-R BT.601 in 8-bit steps: a luminance of 16 to 235 and colours of 16 to 240.
let ycbcr: [[Double]] = [[65.481, 128.553, 24.966, 16], [-37.797, -74.203, 112, 128], [112, -93.786, -18.214, 128]]

func determinant(_ m: [[Double]]) -> Double {
  let first = m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
  let second = m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
  return first - second + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
}

/// What a network for luminance makes of a whole picture: of all three planes for deblocking.
func ofLuminance(_ values: [Float], _ width: Int, _ height: Int, _ file: File) -> [Float] {
  var planes = [[Float]](repeating: [Float](repeating: 0, count: width * height), count: 3)
  for i in 0..<(width * height) {
    for k in 0..<3 {
      var sum: Double = ycbcr[k][3]
      for c in 0..<3 { sum += ycbcr[k][c] * Double(values[3 * i + c]) }
      planes[k][i] = Float(sum / 255)
    }
  }
  for k in 0..<(file.task == "deblock" ? 3 : 1) {
    planes[k] = TensorFlowLite.network(planes[k], width, height, 1, file.multiple)
  }
  var whole = values
  for i in 0..<(width * height) { // Cramer's rule: R, G and B of Y, Cb and Cr
    for c in 0..<3 {
      var replaced: [[Double]] = ycbcr
      for k in 0..<3 { replaced[k][c] = 255 * Double(planes[k][i]) - ycbcr[k][3] }
      whole[3 * i + c] = Float(determinant(replaced) / determinant(ycbcr))
    }
  }
  return whole
}

/// By how many gray levels at most a restored picture is off what the network makes of the whole, padded.
func worst(width: Int, height: Int, _ file: File, leastWide: Int = 0, leastHigh: Int = 0) throws -> Int {
  var pixels = [UInt8](repeating: 0, count: 4 * width * height)
  for i in pixels.indices { pixels[i] = UInt8.random(in: 0...255) }
  let restored = try file.rednet().restore(CGImage(width: width, height: height, pixels: pixels))

  let wide = max((width + file.multiple - 1) / file.multiple * file.multiple, leastWide)
  let high = max((height + file.multiple - 1) / file.multiple * file.multiple, leastHigh)
  var values = [Float]()
  for y in 0..<high {
    for x in 0..<wide {
      let pixel = 4 * (reflected(y, height) * width + reflected(x, width))
      for color in 0..<3 { values.append(Float(pixels[pixel + color]) / 255) }
    }
  }
  let isLuminance = file.color == "luminance"
  let whole =
    isLuminance ? ofLuminance(values, wide, high, file) : TensorFlowLite.network(values, wide, high, 3, file.multiple)
  var worst = 0
  for y in 0..<height {
    for x in 0..<width {
      for color in 0..<3 {
        let value = whole[3 * (y * wide + x) + color]
        let expected = Int((255 * min(max(value, 0), 1)).rounded())
        worst = max(worst, abs(expected - Int(restored.pixels[4 * (y * width + x) + color])))
      }
    }
  }
  return worst
}

struct Ended: Error {}

let files = [
  File(channels: 1, multiple: 2, color: "gray"),
  File(),
  File(multiple: 4),
  File(multiple: 2, type: "uint8"),
  File(channels: 1, multiple: 2, color: "luminance", task: "deblock"),
  File(channels: 1, multiple: 2, color: "luminance", task: "super_resolution"),
]
for file in files {
  for (width, height) in [(64, 64), (65, 66), (10, 7), (300, 117), (131, 112)] {
    print(file.color, file.task, file.type, file.multiple, width, height, try worst(width: width, height: height, file))
  }
}
for (width, height) in [(96, 64), (98, 64), (300, 117), (40, 64), (10, 3)] {
  let fixed = File(size: "[64, 96]")
  print("rgb fixed", width, height, try worst(width: width, height: height, fixed, leastWide: 96, leastHigh: 64))
}

let network = try File(size: "[64, 96]").rednet(delegates: [Accelerator()])
let photo = CGImage(width: 288, height: 64, pixels: [UInt8](repeating: 0, count: 4 * 288 * 64))
var calls = [String]()
_ = try network.restore(photo) { done, count in calls.append("\(done) of \(count)") }
print(calls.joined(separator: ", "))
do {
  _ = try network.restore(photo) { done, _ in if done == 2 { throw Ended() } }
} catch is Ended {
  print("ended")
}
for (file, side) in [(File(halo: 32), 64), (File(multiple: 4), 66), (File(task: "overflow"), 64)] {
  do {
    _ = try file.rednet(side: side).restore(photo)
  } catch let error as RednetError {
    print(error)
  }
}
do {
  _ = try File().rednet(described: "other")
} catch let error as RednetError {
  print(error)
}
