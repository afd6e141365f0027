"""The family: models of ratings that `shoal evaluate --family` compares. None of them serves lists."""
