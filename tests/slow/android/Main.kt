import android.content.Context
import android.graphics.Bitmap
import com.google.ai.edge.litert.network
import keras.rednet.Rednet
import kotlin.math.abs
import kotlin.math.roundToInt

// ITU-R BT.601 in 8-bit steps: a luminance of 16 to 235 and colours of 16 to 240.
private val YCBCR = listOf(
    listOf(65.481, 128.553, 24.966, 16.0),
    listOf(-37.797, -74.203, 112.0, 128.0),
    listOf(112.0, -93.786, -18.214, 128.0),
)

private const val SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" // of "test"

private fun file(channels: Int, size: String = "[64, 96]", halo: Int = 4, color: String = "rgb", task: String = "denoise") =
    """{"size": $size, "channels": $channels, "halo": $halo, "size_multiple": 2, "color": "$color", "task": "$task",
        "sha256": "$SHA256"}"""

private fun rednet(text: String, content: String = "test") = Rednet(Context(mapOf("network.json" to text, "network.tflite" to content)), "network.tflite")

/** Prints, for each size, by how many gray levels at most a restored picture is off what the network makes of it whole. */
fun main() {
    val kinds = listOf("gray" to "denoise", "rgb" to "denoise", "luminance" to "deblock", "luminance" to "super_resolution")
    for ((color, task) in kinds) for ((width, height) in listOf(96 to 64, 98 to 65, 96 to 131, 300 to 117, 144 to 112)) {
        val random = java.util.Random(1)
        val pixels = IntArray(width * height) { random.nextInt() }
        val photo = Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888)
        photo.setPixels(pixels, 0, width, 0, 0, width, height)
        val restored = IntArray(pixels.size)
        rednet(file(if (color == "rgb") 3 else 1, color = color, task = task)).use {
            it.restore(photo.copy(Bitmap.Config.HARDWARE, false)).getPixels(restored, 0, width, 0, 0, width, height)
        }
        val values = FloatArray(3 * pixels.size) { (pixels[it / 3] shr (16 - 8 * (it % 3)) and 255) / 255f }
        val whole = if (color == "luminance") ofLuminance(values, width, height, task) else network(values, width, height, 3)
        val worst = whole.indices.maxOf {
            val expected = (255 * whole[it]).roundToInt().coerceIn(0, 255)
            abs(expected - (restored[it / 3] shr (16 - 8 * (it % 3)) and 255))
        }
        check(pixels.indices.all { pixels[it] ushr 24 == restored[it] ushr 24 }) { "another transparency" }
        println("$color $task $width $height $worst")
    }
    val network = rednet(file(3))
    val photo = Bitmap.createBitmap(288, 64, Bitmap.Config.ARGB_8888)
    network.restore(photo) { done, count -> print("$done of $count, ") }
    println()
    refused { network.restore(photo) { done, _ -> check(done < 2) { "ended before tile $done" } } }
    refused { network.restore(photo) { done, _ -> if (done == 1) network.close() } }
    network.close()
    refused { rednet(file(3)).restore(Bitmap.createBitmap(95, 64, Bitmap.Config.ARGB_8888)) }
    refused { rednet(file(3, halo = 32)) }
    refused { rednet(file(3, size = "null")) }
    refused { rednet(file(3), content = "other") }
    refused { rednet(file(3, task = "overflow")).restore(photo) }
}

/** What a network for luminance makes of a whole picture, [h, w, 3]: of all three planes for deblocking. */
private fun ofLuminance(values: FloatArray, width: Int, height: Int, task: String): FloatArray {
    val planes = YCBCR.map { row ->
        FloatArray(width * height) { i ->
            ((0..2).sumOf { row[it] * values[3 * i + it] } + row[3]).toFloat() / 255
        }
    }
    val done = planes.mapIndexed { k, plane -> if (k == 0 || task == "deblock") network(plane, width, height, 1) else plane }
    return FloatArray(values.size) { i ->
        // Cramer's rule: R, G and B of Y, Cb and Cr.
        val right = YCBCR.mapIndexed { k, row -> 255 * done[k][i / 3] - row[3] }
        val replaced = YCBCR.mapIndexed { k, row -> List(3) { if (it == i % 3) right[k] else row[it] } }
        (determinant(replaced) / determinant(YCBCR)).toFloat()
    }
}

private fun determinant(m: List<List<Double>>) =
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
        m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
        m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])

private fun refused(work: () -> Unit) {
    try {
        work()
        println("not refused")
    } catch (error: RuntimeException) {
        println(error.message)
    }
}
