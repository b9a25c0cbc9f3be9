package android.graphics

object Color {
    @JvmStatic
    fun alpha(color: Int) = color ushr 24

    @JvmStatic
    fun argb(alpha: Int, red: Int, green: Int, blue: Int) = (alpha shl 24) or (red shl 16) or (green shl 8) or blue
}

class Bitmap private constructor(val width: Int, val height: Int, val config: Config?) {
    enum class Config { ARGB_8888, HARDWARE }

    private val pixels = IntArray(width * height)

    fun copy(config: Config, isMutable: Boolean): Bitmap {
        check(!isMutable) { "not needed here" }
        return Bitmap(width, height, config).also { pixels.copyInto(it.pixels) }
    }

    fun getPixels(to: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int) {
        check(config != Config.HARDWARE) { "a hardware bitmap cannot be read" }
        each(x, y, width, height) { column, row, i -> to[offset + row * stride + column] = pixels[i] }
    }

    fun setPixels(from: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int) {
        check(config != Config.HARDWARE) { "a hardware bitmap cannot be written" }
        each(x, y, width, height) { column, row, i -> pixels[i] = from[offset + row * stride + column] }
    }

    private fun each(x: Int, y: Int, width: Int, height: Int, act: (Int, Int, Int) -> Unit) {
        require(x >= 0 && y >= 0 && x + width <= this.width && y + height <= this.height) { "outside of the bitmap" }
        for (row in 0 until height) for (column in 0 until width) act(column, row, (y + row) * this.width + x + column)
    }

    companion object {
        @JvmStatic
        fun createBitmap(width: Int, height: Int, config: Config) = Bitmap(width, height, config)
    }
}
