"""What the site does: one story in a process, its result on standard output as JSON.

python -m tests.interop.django_site commits
"""

from __future__ import annotations

import json
import os
import sys

import django
from django.core.management import call_command
from django.db import connections

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.interop.django_site.settings")
    django.setup()
    if os.environ["SITE_MIGRATED"]:
        call_command("migrate", verbosity=0)
        connections.close_all()

    from tests.interop.django_site import fault_stories, stories

    told = {**vars(stories), **vars(fault_stories)}[sys.argv[1]]()
    sys.stdout.write(json.dumps(told))
