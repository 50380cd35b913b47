"""The torch modules: our convolutional LSTM, the published layout and a U-Net, and their export to ONNX."""
