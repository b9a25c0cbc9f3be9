import android.content.Context
import android.graphics.Bitmap
import com.google.ai.edge.litert.CompiledModel.Companion.SIDE
import com.google.ai.edge.litert.network
import keras.rednet.Rednet
import kotlin.math.abs
import kotlin.math.roundToInt

/** Prints, for each size, by how many gray levels at most a restored picture is off what the network makes of it whole. */
fun main() {
    for (channels in listOf(1, 3)) for ((width, height) in listOf(64 to 64, 66 to 65, 64 to 131, 300 to 117, 112 to 112)) {
        val random = java.util.Random(1)
        val pixels = IntArray(width * height) { random.nextInt() }
        val photo = Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888)
        photo.setPixels(pixels, 0, width, 0, 0, width, height)
        val restored = IntArray(pixels.size)
        Rednet(Context(), "$channels", channels, halo = 4, side = SIDE).use {
            it.restore(photo.copy(Bitmap.Config.HARDWARE, false)).getPixels(restored, 0, width, 0, 0, width, height)
        }
        val values = FloatArray(3 * pixels.size) { (pixels[it / 3] shr (16 - 8 * (it % 3)) and 255) / 255f }
        val whole = network(values, width, height, 3)
        val worst = whole.indices.maxOf {
            val expected = (255 * whole[it]).roundToInt().coerceIn(0, 255)
            abs(expected - (restored[it / 3] shr (16 - 8 * (it % 3)) and 255))
        }
        check(pixels.indices.all { pixels[it] ushr 24 == restored[it] ushr 24 }) { "another transparency" }
        println("$channels $width $height $worst")
    }
    val network = Rednet(Context(), "3", 3, 4, SIDE)
    val photo = Bitmap.createBitmap(3 * SIDE, SIDE, Bitmap.Config.ARGB_8888)
    network.restore(photo) { done, count -> print("$done of $count, ") }
    println()
    refused { network.restore(photo) { done, _ -> check(done < 2) { "ended before tile $done" } } }
    refused { network.restore(photo) { done, _ -> if (done == 1) network.close() } }
    network.close()
    refused { Rednet(Context(), "3", 3, 4, SIDE).restore(Bitmap.createBitmap(SIDE - 1, SIDE, Bitmap.Config.ARGB_8888)) }
    refused { Rednet(Context(), "3", 3, SIDE / 2, SIDE) }
    refused { Rednet(Context(), "3", 2, 4, SIDE) }
}

private fun refused(work: () -> Unit) {
    try {
        work()
        println("not refused")
    } catch (error: RuntimeException) {
        println(error.message)
    }
}
