"""Verbs on templates: validation, unique names, audit, starters."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dialer_platform.accounts.models import AuditEvent
from dialer_platform.errors import Conflict, Invalid, TooLarge
from templates_app.models import Template
from templates_app.services import starters, templates


@pytest.fixture
def make(principal, tenant):
    """Return a function that makes a template."""

    def create(**fields) -> Template:
        facts = {"name": "sweep", "script_content": "true", **fields}
        return templates.create_template(by=principal, tenant=tenant, **facts)

    return create


def test_name_and_script_are_enough(make):
    template = make()
    assert (template.script_type, template.description) == ("shell", "")
    assert template.created_by.username == "alice"


def test_making_is_audited(make):
    template = make()
    event = AuditEvent.objects.get(action="template.create")
    assert (event.object_id, event.actor) == (str(template.pk), "alice")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": "  "}, {"name"}),
        ({"name": "x" * 101}, {"name"}),
        ({"script_content": " \n"}, {"script_content"}),
        ({"script_content": "a\0b"}, {"script_content"}),
        ({"script_type": "ruby"}, {"script_type"}),
        ({"description": "x" * 501}, {"description"}),
        ({"name": "", "script_content": ""}, {"name", "script_content"}),
    ],
)
def test_wrong_fields_are_named(make, fields, wrong):
    with pytest.raises(Invalid) as error:
        make(**fields)
    assert error.value.fields.keys() == wrong
    assert not Template.objects.exists()


def test_script_above_the_limit_is_too_large(make, settings):
    settings.MAX_SCRIPT_BYTES = 10
    with pytest.raises(TooLarge):
        make(script_content="é" * 6)


def test_windows_line_ends_become_unix_ones(make):
    assert make(script_content="a\r\nb\r\n").script_content == "a\nb\n"


def test_taken_name_is_a_conflict(make):
    make()
    with pytest.raises(Conflict) as error:
        make()
    assert error.value.code == "name_taken"
    assert Template.objects.count() == 1


def test_same_name_is_free_in_another_tenant(make, other_tenant):
    make()
    templates.create_template(by="test", tenant=other_tenant, name="sweep", script_content="true")
    assert Template.objects.count() == 2


def test_change_keeps_the_other_fields(make, principal):
    template = make(description="cleans up")
    templates.update_template(template, by=principal, name="sweep twice")
    template.refresh_from_db()
    assert (template.name, template.description) == ("sweep twice", "cleans up")


def test_change_of_an_unknown_field_is_refused(make, principal):
    with pytest.raises(Invalid) as error:
        templates.update_template(make(), by=principal, tenant_id="other")
    assert "tenant_id" in error.value.fields


def test_deleted_template_leaves_its_audit_trail(make, principal):
    template = make()
    number = template.pk
    templates.delete_template(template, by=principal)
    assert not Template.objects.exists()
    assert AuditEvent.objects.get(action="template.delete").object_id == str(number)


def test_open_pages_are_told(make, monkeypatch, django_capture_on_commit_callbacks):
    told = []
    monkeypatch.setattr(templates.live, "publish", lambda topic, **facts: told.append(topic))
    with django_capture_on_commit_callbacks(execute=True):
        make()
    assert told == ["templates"]


def test_starters_are_loaded_once(tenant):
    assert len(starters.load_starter_templates(tenant)) == 3
    assert starters.load_starter_templates(tenant) == []


def test_deleted_starter_stays_deleted(tenant, principal):
    first, *_ = starters.load_starter_templates(tenant)
    templates.delete_template(first, by=principal)
    starters.load_starter_templates(tenant)
    assert Template.objects.of_tenant(tenant.id).count() == 2


def test_own_template_of_the_same_name_is_left_alone(make, tenant):
    make(name="GPU check", script_content="mine")
    assert len(starters.load_starter_templates(tenant)) == 2
    assert Template.objects.get(name="GPU check").script_content == "mine"


@pytest.mark.parametrize("name", ["system_report.sh", "gpu_check.py"])
def test_starter_runs_on_this_machine(name):
    program = "bash" if name.endswith(".sh") else sys.executable
    done = subprocess.run(
        [program, str(starters.DIRECTORY / name)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_training_learns_and_shows_a_bar(tmp_path):
    source = (starters.DIRECTORY / "train_small_model.py").read_text(encoding="utf-8")
    short = source.replace("PAUSE_SECONDS = 0.01", "PAUSE_SECONDS = 0.0").replace(
        "EPOCHS, STEPS_PER_EPOCH, BATCHES_PER_STEP = 20, 50, 10",
        "EPOCHS, STEPS_PER_EPOCH, BATCHES_PER_STEP = 2, 20, 2",
    )
    assert short != source
    script = tmp_path / "train.py"
    script.write_text(short, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, timeout=60)
    lines = done.stdout.decode().split("\r")
    assert any(line.startswith("100%|") for line in lines)
    assert "epoch  2/2" in done.stdout.decode()
