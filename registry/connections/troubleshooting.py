"""Advice on tests that failed (pure)."""

from __future__ import annotations

from collections.abc import Mapping

_ADVICE: Mapping[str, str] = {
    "address": "The address policy forbids it. If it is meant, an administrator adds its network"
    " to ALLOWED_NETWORKS.",
    "certificate": "Check that the host is the name in the certificate, and give the authority that"
    " signed it as ca_bundle.",
    "client_certificate": "The server wants a certificate of the client, or does not take this one."
    " Link a CLIENT_CERTIFICATE credential that it trusts, and check whom it stands for there.",
    "tls": "Check whether the server speaks TLS on this port, and set tls accordingly.",
    "name": "Check the spelling, and that the machine of the hub can resolve the name.",
    "timeout": "A firewall may drop it, or the server is overloaded. Try it from the machine of the"
    " hub, or raise the timeouts.",
    "refused": "Nothing listens there. Check host and port, and that the server runs and listens on"
    " more than its own machine.",
    "broken": "The server hung up. Check that the port is that of the driver and whether it wants"
    " TLS or a client certificate, and look into its log.",
    "network": "The network cannot reach it. Check routes and firewalls.",
    "authentication": "Check the user name and the secret of the credential: rotate it if it is"
    " old.",
    "permission": "The server knows the user but does not allow this. Grant it there.",
    "database": "Check the name of the database, and create it if it is missing.",
    "vhost": "Check the virtual host, and that the user may use it.",
    "queue": "Declare the queue at the broker, or leave it out of the connection.",
    "busy": "The server takes no more connections, or is starting. Try again, or raise its limit.",
    "protocol": "Something else may answer there. Check the port and the driver.",
    "credential": "Look at the credential: its allowed origins, its end, and whether it has a"
    " secret.",
    "graphql": "Check that base_url is the endpoint of GraphQL, and the test query.",
    "answer": "The answer is not what was expected. Check base_url and the settings of the test.",
}


def advice_for(kind: str) -> str:
    """Return what to do about a failure of this kind."""
    return _ADVICE.get(kind, _ADVICE["answer"])


def advice_for_status(status: int) -> str:
    """Return what to do about a status of HTTP that was not expected."""
    if status in (401, 403):
        return "It wants to know who calls, or does not allow this. Link a credential, or check it."
    if status == 407:
        return _ADVICE["network"]
    if status in (404, 405, 410):
        return (
            "Nothing is at this path, or not for this method. Check base_url, and test_path where"
            " it has one."
        )
    if 300 <= status < 400:
        return "It points elsewhere, and redirects are not followed. Give the final base_url."
    if status == 429:
        return "It is asked too often. Raise check_interval_seconds, or set limits."
    if status >= 500:
        return "The server itself has a problem. Look into its log, or ask who runs it."
    return "If this status is well, name it in expected_status."
