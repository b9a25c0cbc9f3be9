package android.content

class Context {
    val assets = android.content.res.AssetManager()
}
