"""Super-resolving the view: what it would cost, the button, and cancel.

How far it is stands in words here and as a bar over the map.
"""

from collections.abc import Mapping
from typing import Any

import panel_material_ui as pmui
from panel.viewable import Viewable

from webapp.style import PLAIN
from webapp.swipe_map import SwipeMap

ACTIVE = ("accepted", "running")
NOTHING = {"total": 0, "cached": 0}


class JobPanel:
    """Shows the map's `plan` and `job`, and sends it commands."""

    def __init__(self, swipe_map: SwipeMap, words: Mapping[str, str]) -> None:
        self._map = swipe_map
        self._words = words
        self.heading = pmui.Typography(
            words["super_resolution"], variant="subtitle2", margin=(16, 16, 0, 16)
        )
        self.cost = pmui.Typography(words["loading"], variant="body2", **PLAIN)
        self.run = pmui.Button(
            label=words["run"], color="primary", variant="contained", disabled=True, **PLAIN
        )
        self.cancel = pmui.Button(label=words["cancel"], variant="outlined", visible=False, **PLAIN)
        self.saliency = pmui.Checkbox(label=words["products_saliency"], value=False, **PLAIN)
        self.along = pmui.Typography(
            f"{words['products']}: {words['products_free']}", variant="body2", **PLAIN
        )
        self.follow = pmui.Switch(label=words["follow"], value=False, **PLAIN)
        self.run.on_click(lambda _: swipe_map.command("run"))
        self.cancel.on_click(lambda _: swipe_map.command("cancel"))
        self.follow.link(swipe_map, value="follow")
        self.saliency.param.watch(lambda event: self._tick(ticked=event.new), "value")
        swipe_map.param.watch(lambda *_: self._update(), ["plan", "job"])

    def widgets(self) -> list[Viewable]:
        """The controls from top to bottom."""
        return [
            self.heading,
            self.cost,
            self.run,
            self.cancel,
            self.along,
            self.saliency,
            self.follow,
        ]

    def _tick(self, *, ticked: bool) -> None:
        self._map.products = ["saliency"] if ticked else []

    def _update(self) -> None:
        plan, job = self._map.plan, self._map.job
        active = job.get("status") in ACTIVE
        startable = bool(plan) and not plan["problem"] and not plan["over"]
        startable = startable and plan["cached"] < plan["total"]
        self.cost.object = job_text(job, self._words) or plan_text(plan, self._words)
        self.run.param.update(disabled=active or not startable, visible=not active)
        self.cancel.visible = active


def plan_text(plan: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """One sentence on what super-resolving the view would take."""
    if not plan:
        return words["plan_nothing"]
    if plan["problem"]:
        return str(plan["problem"])
    if plan["over"]:
        return words["plan_over"].format(total=plan["total"], limit=plan["limit_blocks"])
    if plan["cached"] >= plan["total"]:
        return words["plan_ready"].format(total=_images(plan, "total"))
    whole = words["plan"].format(
        total=_images(plan, "total"),
        cached=_images(plan, "cached"),
        seconds=_seconds(plan),
        limit=plan["limit_blocks"],
    )
    part = plan.get("saliency", NOTHING)
    lacking = part["total"] - part["cached"]
    if not lacking:
        return whole
    return f"{whole} " + words["products_plan"].format(count=lacking, seconds=_seconds(part))


def job_text(job: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """One sentence on the job while it runs or after it stopped early; else nothing."""
    return words.get(f"job_{job.get('status')}", "").format(
        done=job.get("done", 0), total=job.get("total", 0), message=job.get("message", "")
    )


def _images(plan: Mapping[str, Any], key: str) -> int:
    """Blocks of the image alone: what is computed beside it counts on top in a plan."""
    return int(plan[key] - plan.get("saliency", NOTHING)[key])


def _seconds(plan: Mapping[str, Any]) -> str:
    seconds = plan["estimated_seconds"]
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"
