"""``python -m reference_services.demo``: runs workflows across the reference services, again and
again, over the hub's REST API.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2

from reference_services import demo_work as work
from reference_services.console import add_hub_arguments, log_to_stderr, say
from reference_services.demo_alerts import keep_mailbox_channel
from reference_services.demo_checks import keep_checks
from reference_services.demo_models import PROVIDER, SECONDS, AdminLogin, DemoModels
from reference_services.demo_status import keep_dependencies, keep_status_page
from reference_services.demo_work import Progress
from reference_services.lifetime import ends_on_signals
from reference_services.services import SERVICES
from service_integration_client import (
    AsyncServiceIntegrationClient,
    AuthenticationError,
    PermissionDeniedError,
    ResourceNotFoundError,
    ServiceIntegrationError,
    WorkflowResult,
)

LOOK_AGAIN_SECONDS = 1.0
AFTER_AN_ERROR_SECONDS = 5.0
LONGEST_RUN_SECONDS = 120.0
FAULT_SECONDS = 180.0
FAULT_TIMEOUT_SECONDS = 3.0
FAULT_SENTENCE = "The summarizer's word lists are being rebuilt; try again in a few minutes."

MOST_QUESTIONS = 3

Scene = Callable[[], Awaitable[WorkflowResult | None]]


class Demo:
    """Sends the work, one execution after the other, and says how each ended."""

    def __init__(
        self,
        client: AsyncServiceIntegrationClient,
        *,
        models: DemoModels,
        progress: Progress,
        interval: float,
        site: str,
    ) -> None:
        self._client = client
        self._models = models
        self._progress = progress
        self._interval = interval
        self._site = site
        self.failures = 0

    async def run(self, *, once: bool) -> None:
        """Run the failure on purpose first, then every kind of work: once, or for ever."""
        await self._prepare()
        await self._guarded("document-processing", self._fail_on_purpose, failing=True)
        scenes = self._scenes()
        while True:
            for title, scene in scenes:
                await asyncio.sleep(0 if once else self._interval)
                await self._guarded(title, scene)
            if once:
                return

    def _scenes(self) -> list[tuple[str, Scene]]:
        """Return the kinds of work in their order: a task has to be planned to be carried out."""
        return [
            ("document-processing", self._document),
            ("PROJECT_CREATION", self._create_project),
            ("document-processing", self._document),
            ("PROJECT_PLANNING", self._plan_project),
            ("AGENT_TASK_EXECUTION", self._carry_out_task),
            ("AGENT_TASK_EXECUTION", self._carry_out_task),
            ("HUMAN_INTERACTION", self._ask_a_person),
            ("models", self._models.ask),
            ("models", self._models.ask),
        ]

    async def _prepare(self) -> None:
        """Wait until all services can be discovered; then see to the document workflow."""
        last_problem = ""
        while True:
            try:
                await self._wait_for_services()
                await self._keep_workflow()
                await keep_mailbox_channel(self._client)
                await keep_checks(self._client)
                await keep_status_page(self._client, self._site)
                await keep_dependencies(self._client)
                provider = await self._client.get_service(PROVIDER)
                await self._models.prepare(provider["url"].rstrip("/"))
            except (AuthenticationError, PermissionDeniedError):
                raise
            except (ServiceIntegrationError, httpx2.HTTPError) as error:
                if str(error) != last_problem:
                    last_problem = str(error)
                    say(f"Not ready yet: {last_problem}")
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
            else:
                return

    async def _wait_for_services(self) -> None:
        announced: list[str] = []
        while missing := await self._missing_services():
            if missing != announced:
                say(f"Waiting for {', '.join(missing)}")
                announced = missing
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _missing_services(self) -> list[str]:
        page = await self._client.discover(per_page=200)
        names = {service["name"] for service in page["items"]}
        return [name for name in SERVICES if name not in names]

    async def _keep_workflow(self) -> None:
        definition = work.DOCUMENT_WORKFLOW
        try:
            workflow = await self._client.get_workflow(definition["name"])
        except ResourceNotFoundError:
            await self._client.create_workflow(**definition)
            say(f"Created the workflow {definition['name']}")
            return
        if work.outline(workflow.get("steps", [])) != work.outline(definition["steps"]):
            await self._client.update_workflow(workflow["id"], steps=definition["steps"])
            say(f"Updated the workflow {definition['name']}")

    async def _guarded(self, title: str, scene: Scene, *, failing: bool = False) -> None:
        """Run one scene; after an error, return once the services are there again."""
        try:
            result = await scene()
        except (AuthenticationError, PermissionDeniedError):
            raise
        except (ServiceIntegrationError, httpx2.HTTPError) as error:
            self.failures += 1
            say(f"ERROR      {title}: {error}")
            await asyncio.sleep(AFTER_AN_ERROR_SECONDS)
            await self._prepare()
            return
        if result is not None and result.status not in ("COMPLETED", *work.OPEN_STATUSES):
            self.failures += not failing
        self._progress.save()

    async def _document(self) -> WorkflowResult:
        return await self._run_workflow(work.document_url(self._progress.next_turn()))

    async def _run_workflow(self, document_url: str, **context: Any) -> WorkflowResult:
        document = {"document_url": document_url, "language": "en"}
        name = work.DOCUMENT_WORKFLOW["name"]
        return await self._run(self._client.execute_workflow, name, document, **context)

    async def _run_type(self, workflow_type: str, input_data: dict[str, Any]) -> WorkflowResult:
        return await self._run(self._client.execute_workflow_type, workflow_type, input_data)

    async def _run(
        self, execute: Callable[..., Any], name: str, input_data: dict[str, Any], **context: Any
    ) -> WorkflowResult:
        result: WorkflowResult = await execute(
            name, input_data, context, timeout=LONGEST_RUN_SECONDS, raise_on_failure=False
        )
        say(work.report(name, result))
        return result

    async def _create_project(self) -> WorkflowResult:
        project = work.project(self._progress.next_turn())
        result = await self._run_type("PROJECT_CREATION", project)
        self._progress.remember(result)
        return result

    async def _plan_project(self) -> WorkflowResult:
        project_id = self._progress.take_project()
        if project_id is None:
            await self._create_project()
            project_id = self._progress.take_project()
        result = await self._run_type("PROJECT_PLANNING", {"project_id": project_id})
        self._progress.remember_tasks(result)
        return result

    async def _carry_out_task(self) -> WorkflowResult:
        task_id = self._progress.take_task()
        if task_id is None:
            await self._plan_project()
            task_id = self._progress.take_task()
        return await self._run_type("AGENT_TASK_EXECUTION", {"task_id": task_id})

    async def _ask_a_person(self) -> WorkflowResult | None:
        """Leave a question in the inbox of the operators, unless enough of them wait there."""
        waiting = await self._client.get_workflow_executions(
            work.ASKING_WORKFLOW, ",".join(work.OPEN_STATUSES), per_page=1
        )
        if waiting["total"] >= MOST_QUESTIONS:
            return None
        question = work.question(self._progress.next_turn())
        result = await self._client.execute_workflow(
            work.ASKING_WORKFLOW, {"question": question}, wait=False
        )
        say(
            f"ASKED      HUMAN_INTERACTION: {question} Open execution {result.execution_id}"
            " in the admin and answer."
        )
        return result

    async def _fail_on_purpose(self) -> WorkflowResult:
        """Run one execution while the summarizer fails, so that there is a failure to look into."""
        service = await self._client.get_service("text-summarization")
        async with self._failing(service["url"]):
            result = await self._run_workflow(
                work.document_url(0), purpose="A failure to look into and to retry."
            )
        if result.status == "FAILED":
            say(
                f"           That failure was made on purpose. Open execution {result.execution_id}"
                " in the admin, see why it failed, and retry it: the summarizer works again."
            )
        return result

    @contextlib.asynccontextmanager
    async def _failing(self, service_url: str) -> Any:
        """Have the service fail inside. A switch that is not turned back turns itself back."""
        fault = {"fail_rate": 1, "status": 503, "message": FAULT_SENTENCE, "actions": ["summarize"]}
        async with httpx2.AsyncClient(trust_env=False, timeout=FAULT_TIMEOUT_SECONDS) as http:
            switch = f"{service_url.rstrip('/')}/_fault"
            answer = await http.post(switch, json={**fault, "for_seconds": FAULT_SECONDS})
            answer.raise_for_status()
            try:
                yield
            finally:
                await http.post(switch, json={})


async def run_demo(options: argparse.Namespace) -> int:
    """Run until the work is done or a signal comes; return the exit code."""
    ending = asyncio.create_task(ends_on_signals().wait())
    progress = Progress.load(options.data_dir / "demo.json")
    site = str(options.hub).rstrip("/").removesuffix("/api")
    async with (
        AsyncServiceIntegrationClient(options.hub, api_key=options.api_key) as client,
        httpx2.AsyncClient(
            base_url=site,
            follow_redirects=True,
            trust_env=False,
            timeout=SECONDS,
        ) as http,
    ):
        models = DemoModels(http, api_key=options.api_key, login=AdminLogin.of_environment())
        demo = Demo(client, models=models, progress=progress, interval=options.interval, site=site)
        working = asyncio.create_task(demo.run(once=options.once))
        await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        ending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
    return 1 if options.once and demo.failures else 0


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reference_services.demo",
        description="Runs workflows across the reference services, over the hub's REST API.",
    )
    add_hub_arguments(parser)
    parser.add_argument("--data-dir", type=Path, required=True, help="keeps where the demo stands")
    parser.add_argument("--interval", type=float, default=3.0, help="seconds between executions")
    parser.add_argument("--once", action="store_true", help="each kind of work once, then end")
    return parser


def main(argv: list[str] | None = None) -> int:
    options = argument_parser().parse_args(argv)
    log_to_stderr(options.log_level)
    try:
        options.data_dir.mkdir(parents=True, exist_ok=True)
        return asyncio.run(run_demo(options))
    except (ServiceIntegrationError, OSError, ValueError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
