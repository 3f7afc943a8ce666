"""A finished blend as one folder that predicts without this package: ONNX graphs, their labels and a script."""
