package android.content

class Context(texts: Map<String, String>) {
    val assets = android.content.res.AssetManager(texts)
}
