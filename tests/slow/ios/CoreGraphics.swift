import Foundation

public typealias CFString = NSString

public final class CGImage {
  public let width, height: Int
  public let pixels: [UInt8]

  public init(width: Int, height: Int, pixels: [UInt8]) {
    (self.width, self.height, self.pixels) = (width, height, pixels)
  }
}

public final class CGColorSpace {
  nonisolated(unsafe) public static let sRGB: CFString = "sRGB"
  public init?(name: CFString) {}
}

public enum CGImageAlphaInfo: UInt32 {
  case noneSkipLast = 5
}

public final class CGContext {
  public let data: UnsafeMutableRawPointer?
  private let width, height: Int

  public init?(
    data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int, bytesPerRow: Int,
    space: CGColorSpace, bitmapInfo: UInt32
  ) {
    precondition(data == nil && bitsPerComponent == 8 && bytesPerRow == 4 * width)
    (self.width, self.height) = (width, height)
    self.data = UnsafeMutableRawPointer.allocate(byteCount: 4 * width * height, alignment: 16)
  }

  deinit { data!.deallocate() }

  public func draw(_ image: CGImage, in rectangle: CGRect) {
    precondition(rectangle == CGRect(x: 0, y: 0, width: width, height: height))
    image.pixels.withUnsafeBytes { data!.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
  }

  public func makeImage() -> CGImage? {
    let pixels = Array(UnsafeRawBufferPointer(start: data!, count: 4 * width * height))
    return CGImage(width: width, height: height, pixels: pixels)
  }
}
