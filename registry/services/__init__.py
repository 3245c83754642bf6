"""The lifecycle of services: they register, beat, change status and leave."""

from registry.discovery.change_log import cut_change_log, log_changed_parts, record_change
from registry.services.acceptance import accept_service, check_owner, refuse_service
from registry.services.expiry import (
    Suspicion,
    expire_instances,
    expire_suspects,
    keep_suspects,
    read_suspicion,
    read_unreachable,
)
from registry.services.grants import allow_actions
from registry.services.heartbeats import Heartbeat, beat_service, record_heartbeat
from registry.services.lifecycle import (
    Registration,
    add_instance,
    admit_changed,
    check_new_instance,
    check_share,
    forget_gone_instances,
    remove_instance,
    unregister_service,
    update_service,
)
from registry.services.lookup import get_service
from registry.services.maintenance import (
    end_due_maintenance,
    lift_instance_maintenance,
    lift_maintenance,
    set_instance_status,
    set_service_status,
)
from registry.services.registrations import Registered, register_service
from registry.services.status import refresh_status

__all__ = [
    "Heartbeat",
    "Registered",
    "Registration",
    "Suspicion",
    "accept_service",
    "add_instance",
    "admit_changed",
    "allow_actions",
    "beat_service",
    "check_new_instance",
    "check_owner",
    "check_share",
    "cut_change_log",
    "end_due_maintenance",
    "expire_instances",
    "expire_suspects",
    "forget_gone_instances",
    "get_service",
    "keep_suspects",
    "lift_instance_maintenance",
    "lift_maintenance",
    "log_changed_parts",
    "read_suspicion",
    "read_unreachable",
    "record_change",
    "record_heartbeat",
    "refresh_status",
    "refuse_service",
    "register_service",
    "remove_instance",
    "set_instance_status",
    "set_service_status",
    "unregister_service",
    "update_service",
]
