# SPDX-License-Identifier: Apache-2.0
"""Administrators of the tests: where the admin API stands, and who may use it there."""
from checks import SIGN_IN

ADMIN = f"""
<Location "/admin">
    SetHandler idempotency-admin
    {SIGN_IN}
</Location>
"""
# Beside the door where they sign in: one that is open to all, and one for this machine alone.
DOORS = f"""
<Location "/admin">
    SetHandler idempotency-admin
    Require all denied
</Location>
<Location "/admin/staff">
    {SIGN_IN}
</Location>
<Location "/admin/open">
    Require all granted
</Location>
<Location "/admin/local">
    Require ip 127.0.0.1
</Location>
"""
BODIES = "IdempotencyAdminResponses On\n"
