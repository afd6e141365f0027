"""Static files of the administrators' page: served at `/admin/`, and shown inside PeerTube by the plugin."""
