"""The Wan backbone: block walk, video autoencoder, text encoder, presets."""
