from datetime import date

import jsonschema_rs
import pytest

from reference_services.services import SERVICES
from reference_services.services.sentiment_analysis import sentiment_score
from reference_services.services.text_summarization import summarize_text
from reference_services.services.web_dashboard import decide

DESCRIPTION = (
    "Research what customers want. Design the checkout pages, then build a shop with login and"
    " payments. Test everything and deploy it to production."
)


async def call(service, method, path, body=None, *, status=200):
    answer = await service.request(method, path, json=body)
    content = await answer.json()
    assert answer.status == status, content
    return content


def fits(service_name, action_name, output):
    actions = {action.name: action for action in SERVICES[service_name].actions}
    jsonschema_rs.validate(actions[action_name].output_schema, output)
    return True


async def test_project_is_created_and_keeps_its_plan(start_service):
    service = await start_service("project-coordinator")
    project = await call(service, "POST", "/projects", {"name": "Shop", "description": None})
    path = f"/projects/{project['project_id']}"

    body = {"status": "PLANNED", "tasks": [{"task_id": "t"}], "tactical_plan": None}
    updated = await call(service, "PUT", path, body)
    kept = await call(service, "GET", path)

    assert project["status"] == "DRAFT"
    assert kept == updated
    assert kept["tasks"] == [{"task_id": "t"}]
    assert "tactical_plan" not in kept
    assert fits("project-coordinator", "create_project", project)
    assert fits("project-coordinator", "get_project", kept)


async def test_unknown_project_and_status_are_refused(start_service):
    service = await start_service("project-coordinator")

    missing = await call(service, "GET", "/projects/none", status=404)
    wrong = await call(service, "PUT", "/projects/none", {"status": "DONE"}, status=400)

    assert missing["message"] == "There is no project none."
    assert "status" in wrong["errors"]


async def test_strategic_plan_reads_phases_out_of_the_description(start_service):
    service = await start_service("planning-system")
    body = {"name": "Shop", "description": DESCRIPTION}

    plan = await call(service, "POST", "/plans/strategic", body)

    names = [phase["name"] for phase in plan["phases"]]
    assert names == ["Discovery", "Design", "Build", "Verification", "Launch"]
    assert "Build payments" in plan["phases"][2]["deliverables"]
    assert plan["source"] == "planning-system"
    assert plan["start_date"] == "2026-11-23"
    assert fits("planning-system", "generate_strategic_plan", plan)


async def test_strategic_plan_without_a_description_plans_the_name(start_service):
    service = await start_service("planning-system")

    plan = await call(service, "POST", "/plans/strategic", {"name": "Shop", "description": None})

    assert plan["objectives"] == ["Build Shop"]


async def test_tasks_are_dated_on_workdays_after_what_they_depend_on(start_service):
    service = await start_service("planning-system")
    plan = await call(
        service, "POST", "/plans/strategic", {"name": "Shop", "description": DESCRIPTION}
    )

    body = {"project_id": "p", "name": "Shop", "phases": plan["phases"]}
    tactical = await call(service, "POST", "/plans/tactical", body)

    tasks = {task["task_id"]: task for task in tactical["tasks"]}
    assert tasks
    for task in tasks.values():
        assert date.fromisoformat(task["start_date"]).weekday() < 5
        assert all(tasks[key]["end_date"] < task["start_date"] for key in task["depends_on"])
    assert any(task["depends_on"] for task in tasks.values())
    assert set(tactical["skills"]) == {task["skill"] for task in tasks.values()}
    assert fits("planning-system", "generate_tactical_plan", tactical)


async def test_tactical_plan_takes_phases_with_an_objective_alone(start_service):
    service = await start_service("planning-system")
    phases = [{"name": "Preparation", "objective": "Agree what it must do", "duration_days": 5}]

    plan = await call(service, "POST", "/plans/tactical", {"phases": phases})

    assert len(plan["tasks"]) == 1


async def test_tactical_plan_without_anything_to_do_is_refused(start_service):
    service = await start_service("planning-system")
    phases = [{"name": "!", "objective": "..."}]

    answer = await call(service, "POST", "/plans/tactical", {"phases": phases}, status=400)

    assert "phases" in answer["errors"]


async def test_tasks_go_to_agents_of_their_skill_and_are_kept(start_service):
    service = await start_service("agent-orchestrator")
    created = await call(service, "POST", "/agents", {"skills": ["backend", "design", "backend"]})
    tasks = [{"task_id": "t1", "skill": "design"}, {"task_id": "t2", "skill": "cooking"}]

    body = {"tasks": tasks, "agents": created["agents"]}
    assigned = await call(service, "POST", "/assignments", body)
    task = await call(service, "GET", "/tasks/t1")

    backend, design = created["agents"]
    assert assigned["assignments"] == [
        {"task_id": "t1", "agent_id": design["agent_id"]},
        {"task_id": "t2", "agent_id": backend["agent_id"]},
    ]
    assert task["status"] == "ASSIGNED"
    assert fits("agent-orchestrator", "create_agents", created)
    assert fits("agent-orchestrator", "assign_tasks", assigned)
    assert fits("agent-orchestrator", "get_task", task)


async def test_task_keeps_its_result(start_service):
    service = await start_service("agent-orchestrator")
    agents = [{"agent_id": "a", "skill": "design"}]
    await call(service, "POST", "/assignments", {"tasks": [{"task_id": "t1"}], "agents": agents})

    await call(service, "PUT", "/tasks/t1", {"status": "COMPLETED", "result": {"lines": 3}})

    task = await call(service, "GET", "/tasks/t1")
    assert (task["status"], task["result"]) == ("COMPLETED", {"lines": 3})


async def test_interaction_is_asked_and_answered(start_service):
    service = await start_service("agent-orchestrator")
    asked = await call(service, "POST", "/interactions", {"question": "May I?", "task_id": None})
    path = f"/interactions/{asked['interaction_id']}"

    answered = await call(service, "PUT", path, {"answer": "Yes."})

    assert (asked["status"], answered["status"]) == ("OPEN", "ANSWERED")
    assert answered["answer"] == "Yes."
    assert fits("agent-orchestrator", "answer_interaction", answered)


async def test_execution_plan_names_steps_and_tools(start_service):
    service = await start_service("model-orchestration")
    task = {"title": "Implement the login page", "description": "…", "task_id": "t"}

    plan = await call(service, "POST", "/plans/execution", {"task": task})

    assert "code-editor" in plan["required_tools"]
    assert any("the login page" in step for step in plan["steps"])
    assert fits("model-orchestration", "generate_execution_plan", plan)


@pytest.mark.parametrize("tools", [None, [], [{"name": "code-editor", "version": "1"}]])
async def test_task_is_carried_out_with_or_without_tools(start_service, tools):
    service = await start_service("model-orchestration")
    body = {"task": "Build the login page", "steps": ["Build it"], "tools": tools}

    done = await call(service, "POST", "/tasks/execute", body)

    assert done["result"].startswith("Task: Build the login page")
    assert ("code-editor" in done["result"]) == bool(tools)
    assert fits("model-orchestration", "execute_task", done)


async def test_review_finds_circles_missing_links_and_long_tasks(start_service):
    service = await start_service("model-orchestration")
    tasks = [
        {"task_id": "a", "title": "A", "depends_on": ["b"], "estimate_days": 1},
        {"task_id": "b", "title": "B", "depends_on": ["a"], "estimate_days": 1},
        {"task_id": "c", "title": "C", "depends_on": ["gone"], "estimate_days": 9, "skill": "x"},
    ]

    review = await call(service, "POST", "/plans/review", {"tasks": tasks})

    risks = " ".join(review["risks"])
    assert "A waits for itself." in risks
    assert "C depends on gone, which is not in the plan." in risks
    assert "C takes 9 days; split it." in risks
    assert "x carries 9 of 11 days" in risks
    assert fits("model-orchestration", "review_plan", review)


async def test_tools_are_found_under_any_spelling_and_missing_ones_named(start_service):
    service = await start_service("tool-integration")

    body = {"required_tools": ["Code Editor", "time_machine"]}
    found = await call(service, "POST", "/tools/discover", body)
    everything = await call(service, "POST", "/tools/discover", {"required_tools": None})

    assert [tool["name"] for tool in found["tools"]] == ["code-editor"]
    assert found["missing"] == ["time-machine"]
    assert len(everything["tools"]) > 5
    assert fits("tool-integration", "discover_tools", found)


@pytest.mark.parametrize(
    ("question", "decision", "answer"),
    [
        ("May the release go out?", "APPROVED", "Yes, go ahead."),
        ("Should we use PostgreSQL or SQLite?", "APPROVED", "Use PostgreSQL."),
        ("May I delete the backups?", "REJECTED", "No: delete needs a second pair of eyes first."),
        (
            "It costs 1,800 euros.",
            "REJECTED",
            "No: that is above the limit of 1000 for a duty officer.",
        ),
    ],
)
def test_duty_person_decides_by_rules(question, decision, answer):
    assert decide(question) == (decision, answer)


async def test_approval_and_notification_are_kept(start_service):
    service = await start_service("web-dashboard")

    approval = await call(service, "POST", "/approvals", {"question": "May I?", "assignee": "ines"})
    notified = await call(service, "POST", "/notifications", {"title": "Done"})

    assert approval["decided_by"] == "ines"
    assert fits("web-dashboard", "request_approval", approval)
    assert fits("web-dashboard", "notify", notified)


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("I love it, it is excellent.", 1),
        ("This is not good.", -1),
        ("It isn't bad.", 1),
        ("A terrible, useless thing.", -1),
        ("The table is brown.", 0),
        ("", 0),
    ],
)
def test_sentiment_has_the_sign_that_a_reader_would_give(text, sign):
    score = sentiment_score(text)
    assert (score > 0) - (score < 0) == sign
    assert -1 <= score <= 1


def test_intensifier_strengthens():
    assert sentiment_score("very good") > sentiment_score("good") > sentiment_score("slightly good")


async def test_analyze_answers_word_and_score(start_service):
    service = await start_service("sentiment-analysis")

    answer = await call(service, "POST", "/analyze", {"text": "Great!", "metadata": {"pages": 1}})

    assert answer["sentiment"] == "positive"
    assert fits("sentiment-analysis", "analyze", answer)


def test_summary_keeps_the_order_of_the_text():
    text = "Cats sleep. Cats and dogs eat, and cats hunt mice. It rained. Dogs bark at cats."

    chosen = summarize_text(text, max_sentences=2)

    assert chosen == ["Cats and dogs eat, and cats hunt mice.", "Dogs bark at cats."]


async def test_summary_of_nothing_is_empty(start_service):
    service = await start_service("text-summarization")

    answer = await call(service, "POST", "/summarize", {"text": "", "max_sentences": None})

    assert answer == {"summary": "", "sentences": 0}
