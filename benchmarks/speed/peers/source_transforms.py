"""The source's 14 transforms, as somebody ports the list to Albumentations 2.0.8: the same names and parameters.

`Flip` is gone, so a choice of the two mirrors; `alpha_affine` is gone; the rest is as it was called, at 2.0.8's
defaults. It costs what a port costs; what it means is another matter (`src/ripik/augmentation.py`).
"""

import warnings

import albumentations as alb


def source_transforms(size: int = 512) -> alb.Compose:
    """Return the chain: uint8 H×W×3 to uint8 size×size×3."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ShiftScaleRotate asks to be written as Affine
        return alb.Compose(
            [
                alb.Resize(size, size),
                alb.OneOf([alb.HorizontalFlip(p=1), alb.VerticalFlip(p=1)], p=0.5),
                alb.Transpose(p=0.5),
                alb.RandomBrightnessContrast(p=0.5),
                alb.MedianBlur(blur_limit=3, p=0.1),
                alb.MotionBlur(p=0.2),
                alb.GaussNoise(p=0.1),
                alb.OpticalDistortion(p=0.3),
                alb.GridDistortion(p=0.1),
                alb.ElasticTransform(alpha=120, sigma=6, p=0.1),
                alb.HueSaturationValue(p=0.5),
                alb.CLAHE(p=0.5),
                alb.ShiftScaleRotate(shift_limit=0.0625, scale_limit=0.2, rotate_limit=45, p=0.5),
                alb.CoarseDropout(p=0.1),
            ]
        )
