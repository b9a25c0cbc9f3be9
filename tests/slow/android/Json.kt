package org.json

/** As much of Android's as is needed of a flat object. */
class JSONObject(private val text: String) {
    fun getInt(name: String) = checkNotNull(find(name)) { "No value for $name" }.toInt()

    fun getString(name: String) = checkNotNull(find(name)) { "No value for $name" }.trim('"')

    fun optJSONArray(name: String) = find(name)?.takeIf { it.startsWith("[") }?.let { JSONArray(it) }

    private fun find(name: String) = Regex("\"$name\": *(\\[[^]]*]|\"[^\"]*\"|[^,}]*)").find(text)?.groupValues?.get(1)
}

class JSONArray(text: String) {
    private val values = text.trim('[', ']').split(",").map { it.trim() }

    fun getInt(index: Int) = values[index].toInt()
}
