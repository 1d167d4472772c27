"""Tables of probes; their results live in the app `series`."""

from tasks.probes.models.cursor import FollowCursor
from tasks.probes.models.incident import Incident
from tasks.probes.models.location import Location
from tasks.probes.models.maintenance import MaintenanceWindow
from tasks.probes.models.probe import Probe
from tasks.probes.models.quota import ProbeQuota, ProbeStamp
from tasks.probes.models.run import ProbeRunRequest

__all__ = [
    "FollowCursor",
    "Incident",
    "Location",
    "MaintenanceWindow",
    "Probe",
    "ProbeQuota",
    "ProbeRunRequest",
    "ProbeStamp",
]
