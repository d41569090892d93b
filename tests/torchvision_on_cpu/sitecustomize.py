"""Let the published torchvision wheel import beside a CPU build of torch.

The wheel on PyPI is built for CUDA. Beside CPU torch its compiled operators are missing, and registering their fake
kernels fails ("operator torchvision::nms does not exist"). The image and video processors of the Qwen families import
torchvision but use none of those operators, so this skips their registration. Test tooling only: put this folder and
a torchvision on PYTHONPATH; the library itself never needs it.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys


class _RegisterFakeSkipper(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname != "torchvision":
            return None
        sys.meta_path.remove(self)
        import torch

        if torch.version.cuda is None:
            register_fake = torch.library.register_fake

            def register_known(op, *args, **kwargs):
                if isinstance(op, str) and op.startswith("torchvision::"):
                    return lambda function: function
                return register_fake(op, *args, **kwargs)

            torch.library.register_fake = register_known
        return importlib.util.find_spec(fullname)


sys.meta_path.insert(0, _RegisterFakeSkipper())
