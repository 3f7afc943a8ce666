"""What a small Kaggle keeps and answers: datasets with versions, kernels, and a competition that scores.

Every request is read by the client library's own types, and refused unless they write it again just as it came: an
unknown field, or a value of another type, is a 400.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kagglesdk.blobs.types.blob_api_service import ApiStartBlobUploadRequest, ApiStartBlobUploadResponse
from kagglesdk.competitions.types.competition_api_service import (
    ApiCreateCodeSubmissionRequest,
    ApiCreateSubmissionRequest,
    ApiCreateSubmissionResponse,
    ApiDownloadDataFilesRequest,
    ApiGetSubmissionLimitsRequest,
    ApiListSubmissionsRequest,
    ApiStartSubmissionUploadRequest,
)
from kagglesdk.datasets.types.dataset_api_service import (
    ApiCreateDatasetRequest,
    ApiCreateDatasetVersionRequest,
    ApiDownloadDatasetRequest,
    ApiGetDatasetMetadataRequest,
    ApiGetDatasetRequest,
    ApiGetDatasetStatusRequest,
)
from kagglesdk.kernels.types.kernels_api_service import (
    ApiGetKernelSessionStatusRequest,
    ApiListKernelSessionOutputRequest,
    ApiSaveKernelRequest,
)

HOME = "http://localhost"
REQUESTS = {
    kind.__name__.removeprefix("Api").removesuffix("Request"): kind
    for kind in (
        *(ApiStartBlobUploadRequest, ApiCreateCodeSubmissionRequest, ApiCreateSubmissionRequest),
        *(ApiDownloadDataFilesRequest, ApiGetSubmissionLimitsRequest, ApiListSubmissionsRequest),
        *(ApiStartSubmissionUploadRequest, ApiCreateDatasetRequest, ApiCreateDatasetVersionRequest),
        *(ApiDownloadDatasetRequest, ApiGetDatasetMetadataRequest, ApiGetDatasetRequest, ApiGetDatasetStatusRequest),
        *(ApiGetKernelSessionStatusRequest, ApiListKernelSessionOutputRequest, ApiSaveKernelRequest),
    )
}


class RefusedError(Exception):
    """A request that is answered with a status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Dataset:
    """The versions of a dataset, each its files; the newest is served after so many questions for the status."""

    versions: list[dict[str, bytes]] = field(default_factory=list)
    lag: int = 0
    failed: set[int] = field(default_factory=set)  # versions that could not be processed

    @property
    def served(self) -> dict[str, bytes]:
        return self.versions[-2 if self.lag else -1] if len(self.versions) > bool(self.lag) else {}


@dataclass
class Site:
    """All that there is, by name."""

    datasets: dict[str, Dataset] = field(default_factory=dict)
    kernels: dict[str, list[ApiSaveKernelRequest]] = field(default_factory=dict)
    states: list[str] = field(default_factory=lambda: ["COMPLETE"])  # of a kernel, one a question, the last for ever
    failure: str = ""  # of a kernel
    output: dict[str, bytes] = field(default_factory=dict)
    competition: str = "cars"
    data: bytes = b""  # of the competition: a zip
    accepted: bool = True  # its rules
    left: int = 5  # submissions today
    submissions: list[dict[str, Any]] = field(default_factory=list)
    scores: tuple[str, str] = ("0.75123", "")
    wait: int = 1  # questions before a submission has its score
    lag: int = 1  # questions before a new version is served
    spoiled: bool = False  # whether new versions cannot be processed
    unlisted: int = 0  # questions before a new submission is in the list
    sources: tuple[str, ...] = ("somebody/car-photos",)  # datasets of others that a kernel may read
    blobs: dict[str, bytes] = field(default_factory=dict)
    promised: dict[str, int] = field(default_factory=dict)  # sizes of blobs to come
    errors: dict[str, str] = field(default_factory=dict)  # by method: told inside an answer that is a success
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)  # by method

    def answer(self, method: str, body: dict[str, Any]) -> dict[str, Any] | str:
        """Return the answer to a call, or the address that it is sent on to."""
        if method in self.refusals:
            raise RefusedError(*self.refusals[method])
        if method not in REQUESTS:
            raise RefusedError(404, f"there is no method {method}")
        handler: Callable[[Any], dict[str, Any] | str] = getattr(self, f"_on_{method}")
        return handler(read(method, body))

    def stored(self, path: str) -> bytes:
        """Return the content of an address that `answer` named."""
        kind, _, name = path.removeprefix("/storage/").partition("/")
        if kind == "competition":
            return self.data
        if kind == "output":
            return self.output[name]
        owner, slug, file = name.split("/")
        return self.datasets[f"{owner}/{slug}"].served[file]

    def receive(self, token: str, content: bytes) -> None:
        """Take in an upload; its size must be the one promised."""
        if len(content) != self.promised.get(token):
            raise RefusedError(400, f"{token}: {len(content)} bytes, promised were {self.promised.get(token)}")
        self.blobs[token] = content

    def _upload(self, name: str, size: int) -> dict[str, Any]:
        token = f"{len(self.promised)}-{name}"
        self.promised[token] = size
        answer = ApiStartBlobUploadResponse()
        answer.token, answer.create_url = token, f"{HOME}/upload/{token}"
        return answer.to_dict()

    def _on_StartBlobUpload(self, asked: ApiStartBlobUploadRequest) -> dict[str, Any]:  # noqa: N802
        return self._upload(asked.name, asked.content_length)

    def _on_GetDatasetStatus(self, asked: ApiGetDatasetStatusRequest) -> dict[str, Any]:  # noqa: N802
        dataset = self._dataset(asked.owner_slug, asked.dataset_slug)
        ready = dataset.lag == 0
        dataset.lag = max(0, dataset.lag - 1)
        if ready and len(dataset.versions) in dataset.failed:
            return {"status": "FAILED"}
        return {"status": "READY" if ready else "BLOBS_RECEIVED"}

    def _on_GetDataset(self, asked: ApiGetDatasetRequest) -> dict[str, Any]:  # noqa: N802
        dataset = self._dataset(asked.owner_slug, asked.dataset_slug)
        return {"currentVersionNumber": len(dataset.versions) - (1 if dataset.lag else 0)}

    def _on_GetDatasetMetadata(self, asked: ApiGetDatasetMetadataRequest) -> dict[str, Any]:  # noqa: N802
        return {"info": {"licenses": [{"name": "CC0-1.0"}]}}

    def _on_DownloadDataset(self, asked: ApiDownloadDatasetRequest) -> str:  # noqa: N802
        files = self._dataset(asked.owner_slug, asked.dataset_slug).served
        if asked.file_name not in files:
            raise RefusedError(404, "Not found")
        return f"{HOME}/storage/dataset/{asked.owner_slug}/{asked.dataset_slug}/{asked.file_name}"

    def _on_CreateDataset(self, asked: ApiCreateDatasetRequest) -> dict[str, Any]:  # noqa: N802
        name = f"{asked.owner_slug}/{asked.slug}"
        assert asked.is_private
        return self._new_version(name, self.datasets.setdefault(name, Dataset()), asked.files, "CreateDataset")

    def _on_CreateDatasetVersion(self, asked: ApiCreateDatasetVersionRequest) -> dict[str, Any]:  # noqa: N802
        name, dataset = f"{asked.owner_slug}/{asked.dataset_slug}", self._dataset(asked.owner_slug, asked.dataset_slug)
        return self._new_version(name, dataset, asked.body.files, "CreateDatasetVersion")

    def _new_version(self, name: str, dataset: Dataset, files: Any, method: str) -> dict[str, Any]:
        if method in self.errors:
            return {"status": "error", "error": self.errors[method]}
        dataset.versions.append({file.token.partition("-")[2]: self.blobs[file.token] for file in files})
        dataset.lag = self.lag
        if self.spoiled:
            dataset.failed.add(len(dataset.versions))
        return {"ref": name, "url": f"https://www.kaggle.com/datasets/{name}", "status": "ok"}

    def _dataset(self, owner: str, slug: str) -> Dataset:
        if f"{owner}/{slug}" not in self.datasets:
            raise RefusedError(403, "Permission 'datasets.get' was denied")
        return self.datasets[f"{owner}/{slug}"]

    def _on_SaveKernel(self, asked: ApiSaveKernelRequest) -> dict[str, Any]:  # noqa: N802
        if "SaveKernel" in self.errors:
            return {"error": self.errors["SaveKernel"]}
        known = [*self.sources, *self.datasets]
        versions = self.kernels.setdefault(asked.slug, [])
        versions.append(asked)
        return {
            "ref": f"/code/{asked.slug}",
            "url": f"https://www.kaggle.com/code/{asked.slug}",
            "versionNumber": len(versions),
            "invalidDatasetSources": [name for name in asked.dataset_data_sources or [] if name not in known],
            "invalidCompetitionSources": [n for n in asked.competition_data_sources or [] if n != self.competition],
            "invalidKernelSources": [name for name in asked.kernel_data_sources or [] if name not in self.kernels],
        }

    def _on_GetKernelSessionStatus(self, asked: ApiGetKernelSessionStatusRequest) -> dict[str, Any]:  # noqa: N802
        if f"{asked.user_name}/{asked.kernel_slug}" not in self.kernels:
            raise RefusedError(403, "Permission 'kernels.get' was denied")
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {"status": state, **({"failureMessage": self.failure} if self.failure else {})}

    def _on_ListKernelSessionOutput(self, asked: ApiListKernelSessionOutputRequest) -> dict[str, Any]:  # noqa: N802
        files = [{"fileName": name, "url": f"{HOME}/storage/output/{name}"} for name in self.output]
        return {"files": files, "log": "the log" if files else ""}

    def _on_DownloadDataFiles(self, asked: ApiDownloadDataFilesRequest) -> str:  # noqa: N802
        self._competition(asked.competition_name)
        if not self.accepted:
            raise RefusedError(403, "You must accept this competition's rules before you'll be able to download files.")
        return f"{HOME}/storage/competition/{asked.competition_name}.zip?signature=1"

    def _on_StartSubmissionUpload(self, asked: ApiStartSubmissionUploadRequest) -> dict[str, Any]:  # noqa: N802
        self._competition(asked.competition_name)
        return self._upload(asked.file_name, asked.content_length)

    def _on_CreateSubmission(self, asked: ApiCreateSubmissionRequest) -> dict[str, Any]:  # noqa: N802
        content = self.blobs[asked.blob_file_tokens]
        return self._submit(asked, asked.blob_file_tokens.partition("-")[2], content)

    def _on_CreateCodeSubmission(self, asked: ApiCreateCodeSubmissionRequest) -> dict[str, Any]:  # noqa: N802
        versions = self.kernels.get(f"{asked.kernel_owner}/{asked.kernel_slug}", [])
        if not 0 < asked.kernel_version <= len(versions):
            raise RefusedError(404, "Kernel version not found")
        return self._submit(asked, asked.file_name, self.output[asked.file_name])

    def _submit(self, asked: Any, name: str, content: bytes) -> dict[str, Any]:
        self._competition(asked.competition_name)
        if self.left == 0:
            raise RefusedError(400, "Submission not allowed: you have used all 5 of today's submissions")
        self.left -= 1
        told = {"fileName": name, "description": asked.submission_description, "content": content}
        told |= {"wait": self.wait, "unlisted": self.unlisted, "ref": 1000 + len(self.submissions)}
        self.submissions.insert(0, told)
        answer = ApiCreateSubmissionResponse()
        answer.message = f"Successfully submitted to {self.competition}"
        return answer.to_dict()

    def _on_GetSubmissionLimits(self, asked: ApiGetSubmissionLimitsRequest) -> dict[str, Any]:  # noqa: N802
        return {"numAllowedNow": self.left}

    def _on_ListSubmissions(self, asked: ApiListSubmissionsRequest) -> dict[str, Any]:  # noqa: N802
        self._competition(asked.competition_name)
        listed = [told for told in self.submissions if told["unlisted"] <= 0]
        for told in self.submissions:
            told["unlisted"] -= 1
        return {"submissions": [self._listed(told) for told in listed]}

    def _listed(self, told: dict[str, Any]) -> dict[str, Any]:
        scored, told["wait"] = told["wait"] <= 0, told["wait"] - 1
        known = {"ref": told["ref"], "fileName": told["fileName"], "description": told["description"]}
        known |= {"date": "2026-01-02T03:04:05.678Z", "status": "PENDING"}
        if not scored:
            return known
        public, private = told.get("scores", self.scores)
        return known | {"status": "COMPLETE" if public else "ERROR", "publicScore": public, "privateScore": private}

    def _competition(self, name: str) -> None:
        if name != self.competition:
            raise RefusedError(404, "Competition not found")


def read(method: str, body: dict[str, Any]) -> Any:
    """Return a request as the client library's own type reads it; refused when that loses or changes anything."""
    try:
        request = REQUESTS[method].from_dict(body)
        again = json.loads(json.dumps(request.to_dict()))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise RefusedError(400, f"{method}: {error}") from None
    if again != body:
        raise RefusedError(400, f"{method}: {body} is not what its type writes: {again}")
    return request
