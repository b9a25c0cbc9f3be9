// SPDX-License-Identifier: MIT
// Restores photos on Android with a TFLite file of fixed size of keras_rednet, through LiteRT's CompiledModel.
//
//     dependencies { implementation("com.google.ai.edge.litert:litert:2.3.0") }  // of which the least minSdk is 24
//
//     val source = ImageDecoder.createSource(contentResolver, uri)
//     val photo = ImageDecoder.decodeBitmap(source) { decoder, _, _ -> decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE }
//     Rednet(context, "red20-fast-denoise-jpeg-color-v2-512x512-float16.tflite").use { it.restore(photo) }
//
// NAME.tflite and the NAME.json beside it are assets of the app. NAME-512x512-int8.tflite was four times as fast as float32
// and float16 on a server's processor. `Accelerator.GPU` needs "com.google.ai.edge.litert:litert-gpu:2.3.0" as well; without
// it LiteRT throws. GPUs may compute in half precision: what grows above 65504 there comes out as white or black, or as NaN,
// which is refused. The photo must not be smaller than the file's size, and upright: ImageDecoder (API 28) turns photos,
// BitmapFactory does not. (Whoever copies EXIF data to the restored one sets its orientation to 1.) Networks for
// super-resolution do not enlarge: they want a photo that was, bicubic, which Android's own scaling, bilinear, is not. Of
// cut-outs the network sees what is transparent, black as bitmaps hold it, and restores less beside it.
//
// A large photo takes minutes: restore it off the main thread. Beside it and the restored one, 4 bytes a pixel each and as
// many again where it must be copied out of a hardware bitmap, a tile is in memory and what LiteRT needs for it, some
// hundred megabytes with a fast network and more than a gigabyte with RED30 itself. Files for smaller tiles need less, and
// compute more: of 12 megapixels the fast RED30 computes each 1.7 times in tiles of 512x512, 3.5 times in those of 256x256.
// Threads that share a Rednet take turns. Tested with stand-ins for Android and LiteRT (tests/slow/test_apps.py), not on a
// phone.
package keras.rednet

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Color
import android.os.Build
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import org.json.JSONObject
import java.security.MessageDigest
import kotlin.math.roundToInt

/** A network for R, G and B, for each of them by itself ("gray"), or for the luminance of photos. */
class Rednet(context: Context, asset: String, accelerator: Accelerator = Accelerator.CPU, threads: Int = 4) : AutoCloseable {
    private val about = context.assets.open(asset.removeSuffix(".tflite") + ".json").use {
        JSONObject(it.reader().readText())
    }

    init {
        val content = context.assets.open(asset).use { it.readBytes() }
        val digest = MessageDigest.getInstance("SHA-256").digest(content).joinToString("") { "%02x".format(it) }
        require(digest == about.getString("sha256")) { "The .json is not that of $asset: take both from one export." }
    }

    private val size = requireNotNull(about.optJSONArray("size")) {
        "$asset is for any size, which LiteRT does not compile: export it with --size 512x512."
    }
    private val height = size.getInt(0)
    private val width = size.getInt(1)
    private val channels = about.getInt("channels")
    private val halo = about.getInt("halo")
    private val multiple = about.getInt("size_multiple")
    private val isLuminance = about.getString("color") == "luminance"
    private val planes = if (isLuminance && about.getString("task") != "deblock") 1 else 3 // JPEG spoils colours as well

    init {
        require(minOf(height, width) > 2 * halo) {
            "Tiles of this network must be larger than ${2 * halo} pixels. Received: a file for ${width}x$height."
        }
    }

    private val options = CompiledModel.Options(accelerator).apply {
        if (accelerator == Accelerator.CPU) cpuOptions = CompiledModel.CpuOptions(numThreads = threads) // else one
    }
    private val model = CompiledModel.create(context.assets, asset, options)
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()
    private var closed = false

    /**
     * Restores a photo and returns it in 8-bit sRGB. `onTile` is called before each tile, with how many of how many are
     * done; what it throws, such as the CancellationException of a coroutine's `ensureActive()`, ends the work.
     */
    fun restore(photo: Bitmap, onTile: (done: Int, count: Int) -> Unit = { _, _ -> }): Bitmap {
        require(photo.width >= width && photo.height >= height) {
            "The photo must be at least ${width}x$height pixels. Received: ${photo.width}x${photo.height}."
        }
        val hardware = Build.VERSION.SDK_INT >= 26 && photo.config == Bitmap.Config.HARDWARE // cannot be read
        val readable = if (hardware) photo.copy(Bitmap.Config.ARGB_8888, false) else photo
        checkNotNull(readable) { "Not enough memory to copy the photo out of its hardware bitmap." }
        val restored = Bitmap.createBitmap(photo.width, photo.height, Bitmap.Config.ARGB_8888)
        val tile = IntArray(height * width)
        val (rows, columns) = spans(photo.height, height) to spans(photo.width, width)
        var done = 0
        for (y in rows) for (x in columns) {
            onTile(done++, rows.size * columns.size)
            readable.getPixels(tile, 0, width, x.window, y.window, width, height)
            val kept = (y.begin - y.window) * width + x.begin - x.window
            restored.setPixels(restoreTile(tile), kept, width, x.begin, y.begin, x.end - x.begin, y.end - y.begin)
        }
        return restored
    }

    private fun restoreTile(tile: IntArray): IntArray {
        val colors = Array(3) { c -> FloatArray(tile.size) { (tile[it] shr (16 - 8 * c) and 255) / 255f } }
        if (channels == 3) {
            val done = run(FloatArray(3 * tile.size) { colors[it % 3][it / 3] })
            for (i in done.indices) colors[i % 3][i / 3] = done[i]
        } else {
            if (isLuminance) multiply(colors, YCBCR, OFFSET)
            for (plane in colors.take(planes)) run(plane).copyInto(plane)
            if (isLuminance) multiply(colors, RGB, BLACK)
        }
        return IntArray(tile.size) { i ->
            val (red, green, blue) = colors.map { (255 * it[i]).roundToInt().coerceIn(0, 255) }
            Color.argb(Color.alpha(tile[i]), red, green, blue)
        }
    }

    @Synchronized
    private fun run(values: FloatArray): FloatArray {
        check(!closed) { "This Rednet is closed." }
        inputs[0].writeFloat(values)
        model.run(inputs, outputs)
        val restored = outputs[0].readFloat()
        check(restored.none { it.isNaN() }) { "A restored tile holds NaN: half precision overflowed. Use Accelerator.CPU." }
        return restored
    }

    /** Where a tile starts, and from where to where its pixels are those of the whole photo. */
    private class Span(val window: Int, val begin: Int, val end: Int)

    private fun spans(size: Int, side: Int): List<Span> {
        if (size == side) return listOf(Span(0, 0, size))
        val step = side - 2 * halo
        val count = (size - 2 * halo + step - 1) / step
        // Starts on multiples keep a network with strides on the grid of the whole photo. The last tile may be off it: its
        // pixels then differ by up to some gray levels from those of the whole photo.
        val even = List(count) { it.toLong() * (size - side) / (count - 1) }.map { it.toInt() }
        val starts = even.map { if (it == size - side) it else (it + multiple - 1) / multiple * multiple }
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

    private companion object {
        // ITU-R BT.601, studio range, values in [0, 1]: rows are Y, Cb and Cr for R, G and B; then the way back.
        val YCBCR = arrayOf(
            floatArrayOf(0.2567882f, 0.5041294f, 0.0979059f),
            floatArrayOf(-0.1482235f, -0.2909922f, 0.4392157f),
            floatArrayOf(0.4392157f, -0.3677882f, -0.0714275f),
        )
        val OFFSET = floatArrayOf(16 / 255f, 128 / 255f, 128 / 255f)
        val RGB = arrayOf(
            floatArrayOf(1.1643836f, 0f, 1.5960269f),
            floatArrayOf(1.1643836f, -0.3917625f, -0.8129683f),
            floatArrayOf(1.1643836f, 2.0172326f, 0f),
        )
        val BLACK = floatArrayOf(-0.8742024f, 0.5316683f, -1.0856326f)

        /** Replaces the planes of each pixel by a matrix times them, and an offset. */
        fun multiply(planes: Array<FloatArray>, matrix: Array<FloatArray>, offset: FloatArray) {
            for (i in planes[0].indices) {
                val (a, b, c) = Triple(planes[0][i], planes[1][i], planes[2][i])
                for (k in 0..2) planes[k][i] = matrix[k][0] * a + matrix[k][1] * b + matrix[k][2] * c + offset[k]
            }
        }
    }
}
