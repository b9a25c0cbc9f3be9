import Foundation

public struct Tensor {
  public struct Shape {
    let dimensions: [Int]
    public init(_ dimensions: [Int]) { self.dimensions = dimensions }
  }
  public let data: Data
}

public protocol Delegate: AnyObject {}

public final class Interpreter {
  public struct Options {
    public var threadCount: Int?
    public var isXNNPackEnabled = false
    public init() {}
  }

  private let multiple: Int
  private let isInteger, isBroken: Bool
  private var shape = [Int]()
  private var isAllocated = false
  private var input = Data(), output = Data()

  public init(modelPath: String, options: Options? = nil, delegates: [Delegate]? = nil) throws {
    let path = modelPath.replacingOccurrences(of: ".tflite", with: ".json")
    let about = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path))) as! [String: Any]
    multiple = about["size_multiple"] as! Int
    (isInteger, isBroken) = (about["type"] as! String == "uint8", about["task"] as! String == "overflow")
    if let size = about["size"] as? [Int] { shape = [1, size[0], size[1], about["channels"] as! Int] }
    precondition(options!.isXNNPackEnabled == delegates!.isEmpty)
  }

  public func resizeInput(at index: Int, to shape: Tensor.Shape) throws {
    (self.shape, isAllocated) = (shape.dimensions, false)
  }

  public func allocateTensors() throws { isAllocated = true }

  @discardableResult
  public func copy(_ data: Data, toInputAt index: Int) throws -> Tensor {
    precondition(isAllocated && data.count == (isInteger ? 1 : 4) * shape.reduce(1, *))
    input = data
    return Tensor(data: data)
  }

  public func invoke() throws {
    precondition(shape[1] % multiple == 0 && shape[2] % multiple == 0)
    let values = isInteger ? input.map { Float($0) / 255 } : input.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    var restored = network(values, shape[2], shape[1], shape[3], multiple)
    if isBroken { restored[0] = .nan }
    output =
      isInteger
      ? Data(restored.map { UInt8((255 * min(max($0, 0), 1)).rounded()) })
      : restored.withUnsafeBufferPointer { Data(buffer: $0) }
  }

  public func output(at index: Int) throws -> Tensor { return Tensor(data: output) }
}

/// Four uneven filters of 3x3 one after the other, with zeros around: a halo of 4. Each `multiple`-th column gets others.
public func network(_ values: [Float], _ width: Int, _ height: Int, _ channels: Int, _ multiple: Int) -> [Float] {
  var maps = values
  for _ in 0..<4 {
    let before = maps
    for i in values.indices {
      let (x, y, c) = (i / channels % width, i / channels / width, i % channels)
      var sum: Float = 0
      for row in max(y - 1, 0)...min(y + 1, height - 1) {
        for column in max(x - 1, 0)...min(x + 1, width - 1) {
          let weight: Float = column > x ? 0.16 : row != y ? 0.08 : x % multiple == 0 ? 0.1 : 0.12
          sum += weight * before[(row * width + column) * channels + c]
        }
      }
      maps[i] = sum
    }
  }
  return maps
}
