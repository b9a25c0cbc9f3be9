// Restores photos on Android with NAME-512x512-float16.tflite of keras_rednet, through LiteRT's CompiledModel.
//
//     dependencies { implementation("com.google.ai.edge.litert:litert:2.3.0") }
//
//     Rednet(context, "red30-fast-denoise-jpeg-color-v1-512x512-float16.tflite", channels = 3, halo = 60).use { it.restore(bitmap) }
//
// `Accelerator.GPU` needs "com.google.ai.edge.litert:litert-gpu:2.3.0" as well; without it LiteRT throws.
//
// `channels` and `halo` stand in the .json beside the file. A network of one channel restores R, G and B each by itself;
// one for luminance does not belong here. The photo must be at least 512 pixels wide and high, and upright: ImageDecoder
// turns photos, BitmapFactory does not. A large one takes minutes: restore it off the main thread. Beside it and the
// restored one, a tile is in memory and what LiteRT needs for it, some hundred megabytes with a fast network and more than
// a gigabyte with RED30 itself; smaller files, such as 256x256, need less. Threads that share a Rednet take turns.
// Tested with stand-ins for Android and LiteRT (tests/slow/test_apps.py), not on a phone.
package keras.rednet

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Color
import android.os.Build
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import kotlin.math.roundToInt

class Rednet(
    context: Context,
    asset: String,
    private val channels: Int,
    private val halo: Int,
    private val side: Int = 512,
    accelerator: Accelerator = Accelerator.CPU,
    threads: Int = 4,
) : AutoCloseable {
    init {
        require(channels == 1 || channels == 3) { "channels must be 1 or 3. Received: $channels." }
        require(side > 2 * halo && side % 2 == 0) { "side must be even and above ${2 * halo} pixels. Received: $side." }
    }

    private val options = CompiledModel.Options(accelerator).apply {
        if (accelerator == Accelerator.CPU) cpuOptions = CompiledModel.CpuOptions(numThreads = threads) // else one
    }
    private val model = CompiledModel.create(context.assets, asset, options)
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()
    private var closed = false

    /**
     * Restores a photo. `onTile` is called before each tile, with how many of how many are done; what it throws, such as
     * the CancellationException of a coroutine's `ensureActive()`, ends the work.
     */
    fun restore(photo: Bitmap, onTile: (done: Int, count: Int) -> Unit = { _, _ -> }): Bitmap {
        require(photo.width >= side && photo.height >= side) { "The photo must be at least $side x $side pixels." }
        val (width, height) = photo.width to photo.height
        val hardware = Build.VERSION.SDK_INT >= 26 && photo.config == Bitmap.Config.HARDWARE // as ImageDecoder gives them
        val readable = if (hardware) photo.copy(Bitmap.Config.ARGB_8888, false) else photo
        val restored = Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888)
        val tile = IntArray(side * side)
        val (rows, columns) = spans(height) to spans(width)
        var done = 0
        for (y in rows) for (x in columns) {
            onTile(done++, rows.size * columns.size)
            readable.getPixels(tile, 0, side, x.window, y.window, side, side)
            val kept = (y.begin - y.window) * side + x.begin - x.window
            restored.setPixels(restoreTile(tile), kept, side, x.begin, y.begin, x.end - x.begin, y.end - y.begin)
        }
        return restored
    }

    private fun restoreTile(tile: IntArray): IntArray {
        val planes = Array(3) { c -> FloatArray(tile.size) { (tile[it] shr (16 - 8 * c) and 255) / 255f } }
        if (channels == 1) {
            for (plane in planes) run(plane).copyInto(plane)
        } else {
            val done = run(FloatArray(3 * tile.size) { planes[it % 3][it / 3] })
            for (i in done.indices) planes[i % 3][i / 3] = done[i]
        }
        return IntArray(tile.size) { i ->
            val (red, green, blue) = planes.map { (255 * it[i]).roundToInt().coerceIn(0, 255) }
            Color.argb(Color.alpha(tile[i]), red, green, blue)
        }
    }

    @Synchronized
    private fun run(values: FloatArray): FloatArray {
        check(!closed) { "This Rednet is closed." }
        inputs[0].writeFloat(values)
        model.run(inputs, outputs)
        return outputs[0].readFloat()
    }

    /** Where a tile starts, and from where to where its pixels are those of the whole photo. */
    private class Span(val window: Int, val begin: Int, val end: Int)

    private fun spans(size: Int): List<Span> {
        if (size == side) return listOf(Span(0, 0, size))
        val step = side - 2 * halo
        val count = (size - 2 * halo + step - 1) / step
        // Even starts keep a network of stride 2 on the grid of the whole photo. The last tile of an odd size is off it:
        // its pixels then differ by up to some gray levels from those of the whole photo, and are no worse.
        val starts = List(count) { if (it == count - 1) size - side else (it * (size - side) / (count - 1) + 1) / 2 * 2 }
        return starts.mapIndexed { i, start ->
            Span(start, if (i == 0) 0 else start + halo, if (i == count - 1) size else starts[i + 1] + halo)
        }
    }

    @Synchronized
    override fun close() { // waits for a tile at most
        if (closed) return
        closed = true
        (inputs + outputs).forEach { it.close() }
        model.close()
    }
}
