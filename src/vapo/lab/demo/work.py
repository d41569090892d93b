"""Do one of the demo's jobs, or go on with it."""

from __future__ import annotations

from pathlib import Path

from vapo.data.samples import load_samples
from vapo.diagnosis.diagnose import diagnose
from vapo.diagnosis.findings import ModelFindings
from vapo.diagnosis.opened_models import open_models
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.lab.demo.jobs import SPLIT, Job
from vapo.lab.processes.side_by_side import Report
from vapo.lab.processes.step_report import StepReport
from vapo.training.options import parse_run
from vapo.training.run import train


def do_job(text: str, report: Report) -> None:
    """Train if the job says so, diagnose, and mark the job as finished.

    Args:
        text: the job, as `Job.to_json` wrote it.
        report: told each step of training and each question.

    Raises:
        VapoError: whatever training or diagnosing refuses.
    """
    job = Job.from_json(text)
    if job.training:
        train(parse_run(job.training, "vapo demo"), callbacks=[StepReport(report)])
    diagnose_policy(job, report)
    job.mark_finished()


def diagnose_policy(job: Job, report: Report = lambda stage, done, total: None) -> ModelFindings:
    """Diagnose the job's model and write its report; what has been found before is read back."""
    samples = load_samples(job.data, split=SPLIT, require_claims=True, limit=job.questions)
    models = open_models(
        [job.name], lambda name: job.policy, max_batch_tokens=32768, batch_size=job.batch_size, device="cpu"
    )
    diagnosis = diagnose(
        models,
        samples,
        Path(job.folder) / "measured",
        protocols=["early", "perception"],
        settings=DiagnosisSettings(**job.measuring, views=("image",)),
        batch_size=job.batch_size,
        data=f"lab, {SPLIT}, {len(samples)} questions",
        model_settings=models.settings,
        on_progress=lambda name: lambda done, total: report("diagnosing", done, total),
    )
    return diagnosis.models[0]
