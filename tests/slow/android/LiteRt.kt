package com.google.ai.edge.litert

import android.content.res.AssetManager
import org.json.JSONObject

enum class Accelerator { NONE, CPU, GPU, NPU }

class Environment

class TensorBuffer : AutoCloseable {
    private var values: FloatArray? = FloatArray(0)

    fun writeFloat(data: FloatArray) {
        values = checkNotNull(values) { "closed" }.let { data.copyOf() }
    }

    fun readFloat() = checkNotNull(values) { "closed" }.copyOf()

    override fun close() {
        values = null
    }
}

class CompiledModel private constructor(private val about: JSONObject) : AutoCloseable {
    class CpuOptions(val numThreads: Int? = null, val xnnPackFlags: Int? = null, val xnnPackWeightCachePath: String? = null)

    class Options(vararg val accelerators: Accelerator) {
        var cpuOptions: CpuOptions? = null
    }

    fun createInputBuffers() = listOf(TensorBuffer())

    fun createOutputBuffers() = listOf(TensorBuffer())

    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>) {
        val size = about.optJSONArray("size")!!
        val restored = network(inputs[0].readFloat(), size.getInt(1), size.getInt(0), about.getInt("channels"))
        if (about.getString("task") == "overflow") restored[0] = Float.NaN
        outputs[0].writeFloat(restored)
    }

    override fun close() {}

    companion object {
        @JvmStatic
        fun create(
            assets: AssetManager,
            name: String,
            options: Options = Options(Accelerator.CPU),
            environment: Environment? = null,
        ) = CompiledModel(JSONObject(assets.open(name.replace(".tflite", ".json")).reader().readText()))
    }
}

/** Four uneven filters of 3x3 one after the other, with zeros around: a halo of 4. Odd columns get other weights. */
fun network(values: FloatArray, width: Int, height: Int, channels: Int): FloatArray {
    var maps = values
    repeat(4) {
        val before = maps
        maps = FloatArray(values.size) { i ->
            val (x, y, c) = Triple(i / channels % width, i / channels / width, i % channels)
            var sum = 0f
            for (dy in -1..1) for (dx in -1..1) {
                if (y + dy !in 0 until height || x + dx !in 0 until width) continue
                val weight = if (dx == 1) 0.16f else if (dy == 0) 0.1f + 0.02f * (x % 2) else 0.08f
                sum += weight * before[((y + dy) * width + x + dx) * channels + c]
            }
            sum
        }
    }
    return maps
}
