"""Bugs made on purpose, which the harness has to see: code that a site's commands run before all else."""

NEVER_LET_GO = """
from selfdeploy.environments.compose import lock

lock.HOLD = "process.stdout.write('held\\\\n'); setInterval(() => {}, 1000);"
"""
"""A lock that is not released."""

RECORD_FIRST = """
import os
import signal
from selfdeploy import registry
from selfdeploy.build import assembly
from selfdeploy.registry import artifact

def build(self, gated):
    absent = registry.Descriptor(media_type=artifact.SINGLE[0], digest="sha256:" + "0" * 64, size=1)
    self.store.put_record(registry.Record(subject=absent, manifest=b"{}", evidence=b"{}"), self.revision.commit)
    os.killpg(os.getpgrp(), signal.SIGKILL)

assembly.Assembly.build = build
"""
"""A record that is written before the image is pushed, and a kill right between the two."""
