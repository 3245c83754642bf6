"""The three clients and the one table of operations behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service_integration_client.binding import Pages, Read, Stream, Write
from service_integration_client.breaker import CircuitBreaker, is_outage_of_hub
from service_integration_client.configuration import DEFAULT_TIMEOUT_SECONDS, configuration
from service_integration_client.hub import AwaitingHub, BlockingHub, HubOptions
from service_integration_client.operations import (
    alerts,
    api_keys,
    bulk_operations,
    checks,
    circuit_breakers,
    connections,
    credentials,
    dependencies,
    escalations,
    events,
    executions,
    incidents,
    integrations,
    maintenance,
    manifests,
    models,
    pages,
    runs,
    schedules,
    services,
    silences,
    slos,
    status_pages,
    step_validation,
    uptime,
    webhooks,
    workflows,
)

if TYPE_CHECKING:
    from typing_extensions import Self

    from service_integration_client.hub import Sleep, Transport


class _BaseClient:
    """The part that the three clients share: how they are made, and their operations."""

    awaits_writes = True
    awaits_reads = False

    def __init__(
        self,
        base_url: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        api_key: str | None = None,
        *,
        transport: Transport | None = None,
        sleep: Sleep | None = None,
        circuit_breaker: CircuitBreaker | None = None,
    ) -> None:
        """`base_url` and `api_key` default to SERVICE_INTEGRATION_URL and
        SERVICE_INTEGRATION_API_KEY; `timeout` is in seconds, for one answer. `transport` and
        `sleep` replace the network and the waiting between retries. Without a `circuit_breaker`
        the client has one of its own. Raises: ValueError.
        """
        self._configuration = configuration(base_url=base_url, api_key=api_key, timeout=timeout)
        self.circuit_breaker = circuit_breaker or CircuitBreaker(is_failure=is_outage_of_hub)
        options = HubOptions(
            self._configuration, transport=transport, sleep=sleep, breaker=self.circuit_breaker
        )
        self._blocking, self._awaiting = BlockingHub(options), AwaitingHub(options)

    def __repr__(self) -> str:
        key = "None" if self._configuration.api_key is None else "'***'"
        return f"{type(self).__name__}({self._configuration.base_url!r}, api_key={key})"

    register_service = Write(services.register_service)
    update_service = Write(services.update_service)
    deregister_service = Write(services.deregister_service)
    heartbeat = Write(services.heartbeat)
    execute_service_action = Write(services.execute_service_action)
    accept_service = Write(services.accept_service)
    refuse_service = Write(services.refuse_service)
    set_service_status = Write(services.set_service_status)
    set_instance_status = Write(services.set_instance_status)
    add_service_instance = Write(services.add_service_instance)
    remove_service_instance = Write(services.remove_service_instance)
    get_service = Read(services.get_service)
    get_services = Read(services.get_services)
    get_service_health = Read(services.get_service_health)
    get_service_grants = Read(services.get_service_grants)
    allow_service_actions = Write(services.allow_service_actions)
    discover = Read(services.discover)
    find_service = Read(services.find_service)
    search_services = Read(services.search_services)
    watch_services = Read(services.watch_services)
    get_service_instances = Read(services.get_service_instances)
    get_integration_health = Read(services.get_integration_health)
    iter_services = Pages(services.get_services)
    iter_discovered_services = Pages(services.discover)

    create_credential = Write(credentials.create_credential)
    update_credential = Write(credentials.update_credential)
    rotate_credential = Write(credentials.rotate_credential)
    delete_credential = Write(credentials.delete_credential)
    get_credential = Read(credentials.get_credential)
    get_credentials = Read(credentials.get_credentials)
    iter_credentials = Pages(credentials.get_credentials)

    create_connection = Write(connections.create_connection)
    update_connection = Write(connections.update_connection)
    delete_connection = Write(connections.delete_connection)
    disable_connection = Write(connections.disable_connection)
    enable_connection = Write(connections.enable_connection)
    test_connection = Write(connections.test_connection)
    get_connection = Read(connections.get_connection)
    get_connections = Read(connections.get_connections)
    iter_connections = Pages(connections.get_connections)

    create_integration = Write(integrations.create_integration)
    update_integration = Write(integrations.update_integration)
    delete_integration = Write(integrations.delete_integration)
    execute_integration = Write(integrations.execute_integration)
    get_integration_grants = Read(integrations.get_integration_grants)
    allow_integration = Write(integrations.allow_integration)
    get_integration = Read(integrations.get_integration)
    get_integrations = Read(integrations.get_integrations)
    get_integration_executions = Read(integrations.get_integration_executions)
    iter_integrations = Pages(integrations.get_integrations)
    iter_integration_executions = Pages(integrations.get_integration_executions, by=pages.by_cursor)

    create_webhook = Write(webhooks.create_webhook)
    update_webhook = Write(webhooks.update_webhook)
    delete_webhook = Write(webhooks.delete_webhook)
    get_webhook = Read(webhooks.get_webhook)
    get_webhooks = Read(webhooks.get_webhooks)
    get_webhook_deliveries = Read(webhooks.get_webhook_deliveries)
    iter_webhooks = Pages(webhooks.get_webhooks)
    iter_webhook_deliveries = Pages(webhooks.get_webhook_deliveries, by=pages.by_cursor)

    create_workflow = Write(workflows.create_workflow)
    update_workflow = Write(workflows.update_workflow)
    delete_workflow = Write(workflows.delete_workflow)
    activate_workflow_version = Write(workflows.activate_workflow_version)
    retire_workflow_version = Write(workflows.retire_workflow_version)
    reinstate_workflow_version = Write(workflows.reinstate_workflow_version)
    get_workflow = Read(workflows.get_workflow)
    get_workflows = Read(workflows.get_workflows)
    validate_workflow = Read(workflows.validate_workflow)
    validate_workflow_steps = Read(step_validation.validate_workflow_steps)
    get_workflow_versions = Read(workflows.get_workflow_versions)
    compare_versions = Read(workflows.compare_versions)
    get_version_grants = Read(workflows.get_version_grants)
    allow_version = Write(workflows.allow_version)
    withdraw_version_grants = Write(workflows.withdraw_version_grants)
    dry_run_workflow = Read(workflows.dry_run_workflow)
    iter_workflows = Pages(workflows.get_workflows)
    iter_workflow_versions = Pages(workflows.get_workflow_versions)

    execute_workflow = Write(runs.execute_workflow)
    execute_workflow_type = Write(runs.execute_workflow_type)
    cancel_execution = Write(executions.cancel_execution)
    retry_execution = Write(executions.retry_execution)
    rerun_execution = Write(runs.rerun_execution)
    pause_execution = Write(executions.pause_execution)
    resume_execution = Write(executions.resume_execution)
    signal_execution = Write(executions.signal_execution)
    approve_step = Write(executions.approve_step)
    reject_step = Write(executions.reject_step)
    complete_step = Write(executions.complete_step)
    fail_step = Write(executions.fail_step)
    evaluate_expression = Read(executions.evaluate_expression)
    get_workflow_execution_status = Read(executions.get_workflow_execution_status)
    get_workflow_executions = Read(workflows.get_workflow_executions)
    get_execution_steps = Read(executions.get_execution_steps)
    get_execution_events = Read(executions.get_execution_events)
    get_execution_step = Read(executions.get_execution_step)
    get_execution_event = Read(executions.get_execution_event)
    get_executions = Read(executions.get_executions)
    wait_for_execution = Read(executions.wait_for_execution)
    iter_executions = Pages(executions.get_executions, by=pages.by_cursor)
    iter_workflow_executions = Pages(workflows.get_workflow_executions, by=pages.by_cursor)
    iter_execution_steps = Pages(executions.get_execution_steps, by=pages.by_cursor)
    iter_execution_events = Pages(executions.get_execution_events, by=pages.by_cursor)

    open_circuit_breaker = Write(circuit_breakers.open_circuit_breaker)
    close_circuit_breaker = Write(circuit_breakers.close_circuit_breaker)
    disable_circuit_breaker = Write(circuit_breakers.disable_circuit_breaker)
    reset_circuit_breaker = Write(circuit_breakers.reset_circuit_breaker)
    get_circuit_breakers = Read(circuit_breakers.get_circuit_breakers)
    get_circuit_breaker = Read(circuit_breakers.get_circuit_breaker)
    iter_circuit_breakers = Pages(circuit_breakers.get_circuit_breakers)

    create_alert_channel = Write(alerts.create_alert_channel)
    update_alert_channel = Write(alerts.update_alert_channel)
    delete_alert_channel = Write(alerts.delete_alert_channel)
    test_alert_channel = Write(alerts.test_alert_channel)
    get_alert_channel = Read(alerts.get_alert_channel)
    get_alert_channels = Read(alerts.get_alert_channels)
    iter_alert_channels = Pages(alerts.get_alert_channels)
    retry_alert_message = Write(alerts.retry_alert_message)
    get_alert_message = Read(alerts.get_alert_message)
    get_alert_messages = Read(alerts.get_alert_messages)
    iter_alert_messages = Pages(alerts.get_alert_messages)

    open_incident = Write(incidents.open_incident)
    create_check = Write(checks.create_check)
    update_check = Write(checks.update_check)
    delete_check = Write(checks.delete_check)
    run_check = Write(checks.run_check)
    rotate_check_token = Write(checks.rotate_check_token)
    pause_check = Write(checks.pause_check)
    resume_check = Write(checks.resume_check)
    preview_check = Read(checks.preview_check)
    get_check = Read(checks.get_check)
    get_checks = Read(checks.get_checks)
    iter_checks = Pages(checks.get_checks)
    get_check_response_times = Read(checks.get_check_response_times)
    get_check_results = Read(checks.get_check_results)
    iter_check_results = Pages(checks.get_check_results)

    acknowledge_incident = Write(incidents.acknowledge_incident)
    unacknowledge_incident = Write(incidents.unacknowledge_incident)
    assign_incident = Write(incidents.assign_incident)
    describe_incident = Write(incidents.describe_incident)
    add_incident_update = Write(incidents.add_incident_update)
    silence_incident = Write(incidents.silence_incident)
    merge_incident = Write(incidents.merge_incident)
    resolve_incident = Write(incidents.resolve_incident)
    get_incident_updates = Read(incidents.get_incident_updates)
    iter_incident_updates = Pages(incidents.get_incident_updates)
    expire_suspects = Write(incidents.expire_suspects)
    keep_suspects = Write(incidents.keep_suspects)
    get_incident = Read(incidents.get_incident)
    get_incidents = Read(incidents.get_incidents)
    iter_incidents = Pages(incidents.get_incidents)

    get_service_uptime = Read(uptime.get_service_uptime)
    get_service_response_times = Read(uptime.get_service_response_times)
    get_service_spans = Read(uptime.get_service_spans)
    iter_service_spans = Pages(uptime.get_service_spans, by=pages.by_cursor)

    create_dependency = Write(dependencies.create_dependency)
    delete_dependency = Write(dependencies.delete_dependency)
    get_dependency = Read(dependencies.get_dependency)
    get_learned_dependencies = Read(dependencies.get_learned_dependencies)
    get_dependencies = Read(dependencies.get_dependencies)
    iter_dependencies = Pages(dependencies.get_dependencies)

    create_escalation_policy = Write(escalations.create_escalation_policy)
    update_escalation_policy = Write(escalations.update_escalation_policy)
    delete_escalation_policy = Write(escalations.delete_escalation_policy)
    get_escalation_policy = Read(escalations.get_escalation_policy)
    get_escalation_policies = Read(escalations.get_escalation_policies)
    iter_escalation_policies = Pages(escalations.get_escalation_policies)

    create_silence = Write(silences.create_silence)
    update_silence = Write(silences.update_silence)
    expire_silence = Write(silences.expire_silence)
    delete_silence = Write(silences.delete_silence)
    preview_silence = Read(silences.preview_silence)
    get_silence = Read(silences.get_silence)
    get_silenced_incidents = Read(silences.get_silenced_incidents)
    get_silences = Read(silences.get_silences)
    iter_silences = Pages(silences.get_silences)

    create_slo = Write(slos.create_slo)
    update_slo = Write(slos.update_slo)
    delete_slo = Write(slos.delete_slo)
    get_slo = Read(slos.get_slo)
    get_slo_status = Read(slos.get_slo_status)
    get_slos = Read(slos.get_slos)
    iter_slos = Pages(slos.get_slos)

    create_status_page = Write(status_pages.create_status_page)
    update_status_page = Write(status_pages.update_status_page)
    delete_status_page = Write(status_pages.delete_status_page)
    get_status_page = Read(status_pages.get_status_page)
    get_status_pages = Read(status_pages.get_status_pages)
    iter_status_pages = Pages(status_pages.get_status_pages)

    plan_maintenance = Write(maintenance.plan_maintenance)
    update_maintenance_window = Write(maintenance.update_maintenance_window)
    delete_maintenance_window = Write(maintenance.delete_maintenance_window)
    extend_maintenance = Write(maintenance.extend_maintenance)
    cancel_maintenance = Write(maintenance.cancel_maintenance)
    begin_maintenance = Write(maintenance.begin_maintenance)
    finish_maintenance = Write(maintenance.finish_maintenance)
    get_maintenance_window = Read(maintenance.get_maintenance_window)
    get_maintenance_windows = Read(maintenance.get_maintenance_windows)
    iter_maintenance_windows = Pages(maintenance.get_maintenance_windows)

    apply_manifests = Write(manifests.apply_manifests)
    export_manifests = Read(manifests.export_manifests)

    events = Stream(events.events)

    create_schedule = Write(schedules.create_schedule)
    update_schedule = Write(schedules.update_schedule)
    delete_schedule = Write(schedules.delete_schedule)
    enable_schedule = Write(schedules.enable_schedule)
    disable_schedule = Write(schedules.disable_schedule)
    run_schedule = Write(schedules.run_schedule)
    backfill_schedule = Write(schedules.backfill_schedule)
    get_schedule = Read(schedules.get_schedule)
    get_schedules = Read(schedules.get_schedules)
    get_schedule_runs = Read(schedules.get_schedule_runs)
    iter_schedules = Pages(schedules.get_schedules)
    iter_schedule_runs = Pages(schedules.get_schedule_runs)

    preview_bulk_operation = Write(bulk_operations.preview_bulk_operation)
    start_bulk_operation = Write(bulk_operations.start_bulk_operation)
    cancel_bulk_operation = Write(bulk_operations.cancel_bulk_operation)
    get_bulk_operation = Read(bulk_operations.get_bulk_operation)
    get_bulk_operations = Read(bulk_operations.get_bulk_operations)
    iter_bulk_operations = Pages(bulk_operations.get_bulk_operations)

    chat_with_model = Write(models.chat_with_model)
    embed_with_model = Write(models.embed_with_model)
    get_model = Read(models.get_model)
    get_models = Read(models.get_models)
    create_prompt = Write(models.create_prompt)
    update_prompt = Write(models.update_prompt)
    delete_prompt = Write(models.delete_prompt)
    render_prompt = Read(models.render_prompt)
    get_prompt = Read(models.get_prompt)
    get_prompts = Read(models.get_prompts)
    get_model_usage = Read(models.get_model_usage)
    get_model_budgets = Read(models.get_model_budgets)
    get_model_budget_standing = Read(models.get_model_budget_standing)
    get_model_routes = Read(models.get_model_routes)
    iter_models = Pages(models.get_models)
    iter_prompts = Pages(models.get_prompts)
    iter_model_budgets = Pages(models.get_model_budgets)
    iter_model_routes = Pages(models.get_model_routes)

    create_api_key = Write(api_keys.create_api_key)
    update_api_key = Write(api_keys.update_api_key)
    revoke_api_key = Write(api_keys.revoke_api_key)
    delete_api_key = Write(api_keys.delete_api_key)
    get_api_key = Read(api_keys.get_api_key)
    get_api_keys = Read(api_keys.get_api_keys)
    iter_api_keys = Pages(api_keys.get_api_keys)


class _BlockingContext(_BaseClient):
    """``with client:`` closes the blocking connections."""

    def close(self) -> None:
        """Close the connections; the client opens new ones when it is used again."""
        self._blocking.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class _AsyncContext(_BaseClient):
    """``async with client:`` closes all connections."""

    async def aclose(self) -> None:
        """Close the connections; the client opens new ones when it is used again."""
        self._blocking.close()
        await self._awaiting.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


class ServiceIntegrationClient(_BlockingContext, _AsyncContext):
    """Writes are awaited, reads are plain: ``await client.create_workflow(...)`` and
    ``client.get_workflow(...)``.

    A read blocks its thread, the event loop's too; `AsyncServiceIntegrationClient` does not.
    """


class AsyncServiceIntegrationClient(_AsyncContext):
    """Everything is awaited."""

    awaits_reads = True


class SyncServiceIntegrationClient(_BlockingContext):
    """Nothing is awaited. Threads may share one."""

    awaits_writes = False
