import Foundation

/// No SHA-256, but another hash of 32 bytes.
public struct SHA256 {
  public static func hash(data: Data) -> [UInt8] {
    var hash = [UInt8](repeating: 7, count: 32)
    for (i, byte) in data.enumerated() { hash[i % 32] = hash[i % 32] &* 31 &+ byte }
    return hash
  }
}
