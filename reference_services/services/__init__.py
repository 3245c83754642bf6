"""The services by name."""

from reference_services.service import Service
from reference_services.services import (
    agent_orchestrator,
    local_models,
    mailbox,
    model_orchestration,
    planning_system,
    project_coordinator,
    sentiment_analysis,
    text_extraction,
    text_summarization,
    tool_integration,
    web_dashboard,
)

SERVICES: dict[str, Service] = {
    module.SERVICE.name: module.SERVICE
    for module in (
        project_coordinator,
        planning_system,
        agent_orchestrator,
        model_orchestration,
        tool_integration,
        web_dashboard,
        text_extraction,
        sentiment_analysis,
        text_summarization,
        local_models,
        mailbox,
    )
}
