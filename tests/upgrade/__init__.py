"""An older release and this checkout as peers, then this checkout on the older one's folder."""
