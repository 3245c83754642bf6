"""The services by name."""

from reference_services.service import Service
from reference_services.services.agent_orchestrator import SERVICE as AGENT_ORCHESTRATOR
from reference_services.services.model_orchestration import SERVICE as MODEL_ORCHESTRATION
from reference_services.services.planning_system import SERVICE as PLANNING_SYSTEM
from reference_services.services.project_coordinator import SERVICE as PROJECT_COORDINATOR
from reference_services.services.sentiment_analysis import SERVICE as SENTIMENT_ANALYSIS
from reference_services.services.text_extraction import SERVICE as TEXT_EXTRACTION
from reference_services.services.text_summarization import SERVICE as TEXT_SUMMARIZATION
from reference_services.services.tool_integration import SERVICE as TOOL_INTEGRATION
from reference_services.services.web_dashboard import SERVICE as WEB_DASHBOARD

SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        PROJECT_COORDINATOR,
        PLANNING_SYSTEM,
        AGENT_ORCHESTRATOR,
        MODEL_ORCHESTRATION,
        TOOL_INTEGRATION,
        WEB_DASHBOARD,
        TEXT_EXTRACTION,
        SENTIMENT_ANALYSIS,
        TEXT_SUMMARIZATION,
    )
}
