import CoreGraphics
import TensorFlowLite

func reflected(_ position: Int, _ size: Int) -> Int {
  return position < size ? position : max(2 * (size - 1) - position, 0)
}

/// By how many gray levels at most a restored picture is off what the network makes of the whole, padded.
func worst(width: Int, height: Int, channels: Int, multiple: Int) throws -> Int {
  var pixels = [UInt8](repeating: 0, count: 4 * width * height)
  for i in pixels.indices { pixels[i] = UInt8.random(in: 0...255) }
  let network = try Rednet(path: "\(multiple)", channels: channels, halo: 4, multiple: multiple, side: 64)
  let restored = try network.restore(CGImage(width: width, height: height, pixels: pixels))

  let wide = (width + multiple - 1) / multiple * multiple
  let high = (height + multiple - 1) / multiple * multiple
  var values = [Float]()
  for y in 0..<high {
    for x in 0..<wide {
      let pixel = 4 * (reflected(y, height) * width + reflected(x, width))
      for color in 0..<3 { values.append(Float(pixels[pixel + color]) / 255) }
    }
  }
  let whole = TensorFlowLite.network(values, wide, high, 3, multiple)
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

for (channels, multiple) in [(1, 2), (3, 1), (3, 4)] {
  for (width, height) in [(64, 64), (65, 66), (10, 7), (300, 117), (131, 112)] {
    let worst = try worst(width: width, height: height, channels: channels, multiple: multiple)
    print(channels, multiple, width, height, worst)
  }
}

let network = try Rednet(path: "1", channels: 3, halo: 4, multiple: 1, side: 64)
let photo = CGImage(width: 192, height: 64, pixels: [UInt8](repeating: 0, count: 4 * 192 * 64))
var calls = [String]()
_ = try network.restore(photo) { done, count in calls.append("\(done) of \(count)") }
print(calls.joined(separator: ", "))
do {
  _ = try network.restore(photo) { done, _ in if done == 2 { throw Ended() } }
} catch is Ended {
  print("ended")
}
