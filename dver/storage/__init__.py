"""Where bytes live: backends that hold named blobs, the index over packs, and the store on top of both."""
