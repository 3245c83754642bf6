"""What happens to services: they register, beat, change status and leave."""

from registry.services.expiry import (
    Suspicion,
    expire_instances,
    expire_suspects,
    keep_suspects,
    read_suspicion,
    read_unreachable,
)
from registry.services.heartbeat_cache import beat_service
from registry.services.heartbeats import Heartbeat, forget_answers, forget_old, record_heartbeat
from registry.services.lifecycle import (
    Registered,
    Registration,
    add_instance,
    check_new_instance,
    check_owner,
    register_service,
    remove_instance,
    unregister_service,
    update_service,
)
from registry.services.lookup import (
    get_service,
    instance_status,
    note_changed_parts,
    record_change,
    refresh_status,
)
from registry.services.maintenance import (
    end_due_maintenance,
    lift_instance_maintenance,
    lift_maintenance,
    set_instance_status,
    set_service_status,
)

__all__ = [
    "Heartbeat",
    "Registered",
    "Registration",
    "Suspicion",
    "add_instance",
    "beat_service",
    "check_new_instance",
    "check_owner",
    "end_due_maintenance",
    "expire_instances",
    "expire_suspects",
    "forget_answers",
    "forget_old",
    "get_service",
    "instance_status",
    "keep_suspects",
    "lift_instance_maintenance",
    "lift_maintenance",
    "note_changed_parts",
    "read_suspicion",
    "read_unreachable",
    "record_change",
    "record_heartbeat",
    "refresh_status",
    "register_service",
    "remove_instance",
    "set_instance_status",
    "set_service_status",
    "unregister_service",
    "update_service",
]
