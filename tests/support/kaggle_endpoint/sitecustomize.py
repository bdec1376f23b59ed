"""Points Kaggle's client at the server of GLASSBOX_TEST_KAGGLE, in every process with this folder on PYTHONPATH.

The client's own variables reach another host only on port 80. Its table of hosts is changed when it is imported,
and not before: that takes a second, and most processes of a pipeline never do it.
"""

import importlib.util
import os
import sys


class _Redirect:
    """Runs the client's module of hosts, then changes the one that is used."""

    def find_spec(self, name, *_):
        if name != "kagglesdk.kaggle_env":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            module._env_to_endpoint[module.KaggleEnv.PROD] = os.environ["GLASSBOX_TEST_KAGGLE"]

        spec.loader.exec_module = exec_module
        return spec


if os.environ.get("GLASSBOX_TEST_KAGGLE"):
    sys.meta_path.insert(0, _Redirect())
