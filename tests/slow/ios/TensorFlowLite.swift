import Foundation

public struct Tensor {
  public struct Shape {
    let dimensions: [Int]
    public init(_ dimensions: [Int]) { self.dimensions = dimensions }
  }
  public let data: Data
}

public final class Interpreter {
  public struct Options {
    public var threadCount: Int?
    public var isXNNPackEnabled = false
    public init() {}
  }

  private let multiple: Int
  private var shape = [Int]()
  private var isAllocated = false
  private var input = Data(), output = Data()

  /// `modelPath`: of which number of pixels the sides must be multiples.
  public init(modelPath: String, options: Options? = nil) throws { multiple = Int(modelPath)! }

  public func resizeInput(at index: Int, to shape: Tensor.Shape) throws {
    (self.shape, isAllocated) = (shape.dimensions, false)
  }

  public func allocateTensors() throws { isAllocated = true }

  @discardableResult
  public func copy(_ data: Data, toInputAt index: Int) throws -> Tensor {
    precondition(isAllocated && data.count == 4 * shape.reduce(1, *))
    input = data
    return Tensor(data: data)
  }

  public func invoke() throws {
    let values = input.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    precondition(shape[1] % multiple == 0 && shape[2] % multiple == 0)
    let restored = network(values, shape[2], shape[1], shape[3], multiple)
    output = restored.withUnsafeBufferPointer { Data(buffer: $0) }
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
