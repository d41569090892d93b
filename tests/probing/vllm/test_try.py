import os
import vapo.probing.vllm.pads as pads

pads.VLLM_FAMILIES = (os.environ["FAM"],)
from probing.vllm.test_prober import *  # noqa
