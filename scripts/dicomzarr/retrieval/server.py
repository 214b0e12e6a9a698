"""A DICOMweb server: queries (QIDO-RS, PS3.18 10.6) and retrieval (WADO-RS, PS3.18 10.4), with retries.

Addresses, UIDs and texts of errors stay here: what is raised has fixed words.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from dicomweb_client import session_utils
from dicomweb_client.uri import URI
from dicomweb_client.web import DICOMwebClient
from requests.adapters import HTTPAdapter

from dicomzarr.retrieval.minimum_rate import MinimumRate
from dicomzarr.retrieval.multipart import BrokenOff
from dicomzarr.retrieval.request_list import UID, Line
from dicomzarr.vocabulary.errors import UserError

TOKEN, USER, PASSWORD, HEADER = "DICOMWEB_TOKEN", "DICOMWEB_USER", "DICOMWEB_PASSWORD", "DICOMWEB_HEADER"
BLOCK = 1 << 20  # bytes of an answer that are in memory
TIMEOUTS = (20.0, 120.0)  # s to connect, and without a byte: an archive may fetch a study from tape first
BUSY = (408, 429, 502, 503, 504)  # HTTP statuses after which a request is repeated
# As stored: without `transfer-syntax=*`, a server decodes compressed images (PS3.18 8.7.3.5.2).
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_GONE = (404, 410)  # of a study, that the server does not have it
_OF_VALUES = (400, 413, 414, 422)  # the server does not like a value, or its length
FAILURES = 3  # requests in a row without an answer, after which the server counts as down
_PAGES = 10_000  # the most pages of an answer

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
_ACCESSION, _PATIENT, _DATE, _MODALITY = "00080050", "00100020", "00080020", "00080060"
_TEXTS = ("AccessionNumber", "PatientID")
# Orthanc 1.10 does not decode addresses: it finds no value with a character that must be encoded there. It finds one by
# a pattern (PS3.4 C.2.2.2.4); what then comes is compared with the line as always.
_ENCODED, _FOREIGN = re.compile(r"[^A-Za-z0-9._~*-]"), re.compile(r"[^\x00-\x7f]+")
_INSTANCES_OF_SERIES = "NumberOfSeriesRelatedInstances", "00201209"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server gets.

    Attributes
    ----------
    repeats : int
        How often a request is repeated that the server did not answer, or answered with a status of `BUSY`.
    seconds : float
        Before the second repetition; twice as long before each further one.
    most : float
        The longest pause, s, also if the server asks for a longer one (Retry-After).
    slow : float
        How long it may take, s, until an answer to a retrieval has brought another MiB; three times as long for a
        query, with its repetitions.
    """

    repeats: int = 6
    seconds: float = 1.0
    most: float = 120.0
    slow: float = 600.0


class ServerProblem(UserError):
    """The server did not answer, or refused: nothing more can be asked for now."""


class NoAnswer(ServerProblem):
    """The server did not answer this request; the next one may go well."""


class QueryFailed(ServerProblem):
    """The server failed at this query; the next one may go well."""


class QueryRefused(ServerProblem):
    """The server refuses this query: because of what it asks for, or of the address or the account.

    Attributes
    ----------
    status : int
        Of HTTP.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class SeriesFound:
    """A series as the server describes it: `stated` is the number of its instances, if the server says it."""

    uid: str
    modality: str
    stated: int | None


class Answer:
    """The answer to a retrieval.

    Attributes
    ----------
    status : int
        Of HTTP.
    content_type : str
    """

    def __init__(self, response: requests.Response, slow: float) -> None:
        self._response, self._rate = response, MinimumRate(slow)
        self.status = response.status_code
        self.content_type = response.headers.get("Content-Type", "")

    def blocks(self) -> Iterator[bytes]:
        """Yield the content.

        Raises
        ------
        BrokenOff
            If the connection ends before it does.
        NoAnswer
            If next to nothing comes.
        """
        content = self._response.iter_content(BLOCK)
        while True:
            try:
                with self._rate.limit():
                    block = next(content, None)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
                if self._rate.is_over:
                    raise NoAnswer(_TRICKLES) from None
                raise BrokenOff from None
            if block is None:
                return
            self._rate.count(len(block))
            yield block


class _Credentials(requests.auth.AuthBase):
    """Headers that authenticate: set for each request, so that neither .netrc nor the address is asked for them."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.pop("Host", None)  # dicomweb-client leaves out the port
        path, mark, query = (request.url or "").partition("?")
        request.url = path + mark + query.replace("%3F", "?").replace("%2A", "*")  # of patterns, see `_ENCODED`
        request.headers.update(self._headers)
        return request


def credentials(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the headers that authenticate, from the environment; none if it has none.

    Raises
    ------
    UserError
        If variables contradict each other, or a value cannot be sent. No value is shown.
    """
    token, user, password, header = (variables.get(name, "") for name in (TOKEN, USER, PASSWORD, HEADER))
    for name, value in ((TOKEN, token), (USER, user), (PASSWORD, password), (HEADER, header)):
        if not value.isprintable():
            raise UserError(f"the environment variable {name} holds a line break or another control character")
    if bool(user) != bool(password):
        raise UserError(f"the environment variables {USER} and {PASSWORD} belong together: one of them is not set")
    if token and user:
        raise UserError(f"set {TOKEN}, or {USER} and {PASSWORD}, not both")
    if ":" in user:
        raise UserError(f"the environment variable {USER} holds a colon, which cannot be sent")
    headers = {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if user:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    if header:
        name, has_value, value = header.partition(":")
        if not has_value or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or not value.strip():
            raise UserError(f"the environment variable {HEADER} must hold a name, a colon and a value")
        headers[name] = value.strip()
    if not all(value.isascii() for value in headers.values()):
        raise UserError(f"the environment variables {TOKEN} and {HEADER} must hold ASCII only")
    return headers


class _Retry(urllib3.Retry):
    """Repetitions of a request; before each pause, `waiting` is called."""

    def __init__(self, *arguments: Any, waiting: Callable[[], None], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waiting = waiting

    def new(self, **changed: Any) -> _Retry:
        return super().new(waiting=self._waiting, **changed)

    def sleep(self, response: Any = None) -> None:
        self._waiting()
        super().sleep(response)


class Server:
    """A DICOMweb server.

    Parameters
    ----------
    url : str
        Of its DICOMweb service.
    headers : mapping of str to str
        As `credentials` returns them.
    patience : Patience
    waiting : callable, optional
        Called before each pause in which the server gets time to recover.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        patience: Patience,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self._url, self._slow = url.rstrip("/"), patience.slow
        self._session = session_utils.create_session_from_auth(_Credentials(headers))
        self._session.max_redirects = 0  # credentials go nowhere else
        retry = _Retry(
            waiting=waiting,
            total=None,
            connect=patience.repeats,
            read=1,
            status=patience.repeats,
            other=0,
            backoff_factor=patience.seconds,
            backoff_max=patience.most,
            retry_after_max=int(patience.most),
            status_forcelist=BUSY,
            allowed_methods={"GET"},
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))
        self._client = DICOMwebClient(self._url, self._session, timeout=TIMEOUTS, permissive_uid=True)
        self._client.set_http_retry_params(retry=False)  # the adapter retries, and knows Retry-After
        self._failures = 0
        self._has_answered = False  # a query: then its address is right, and the account may query

    # ---- Queries

    def studies(self, line: Line) -> tuple[list[str], int]:
        """Return the studies that a line of the list asks for, and how many others the server named.

        A server that does not know an attribute ignores it, and names all studies that it has: those that do not have
        the values of the line are left out.

        Raises
        ------
        QueryFailed
            If the server fails at it, or refuses this line alone.
        ServerProblem
            If it answers no query.
        """
        try:
            return self._studies_of_line(line)
        except QueryRefused as problem:
            if self._has_answered:
                raise QueryFailed(str(problem)) from None
            if problem.status in _OF_VALUES:
                raise self._failed(QueryFailed(str(problem))) from None
            raise

    def _studies_of_line(self, line: Line) -> tuple[list[str], int]:
        filters = {"StudyInstanceUID": line.study, "AccessionNumber": line.accession, "PatientID": line.patient}
        filters = {name: value for name, value in filters.items() if value}
        if line.dates:
            filters["StudyDate"] = "-".join(dict.fromkeys(line.dates))
        if line.series and not line.study:  # the study of a series; then the study is as the line says, or not
            asked = {"SeriesInstanceUID": line.series}
            listed = self._listed(SERIES, self._client.search_for_series, search_filters=asked)
            listed = [item for item in listed if _value(item, SERIES) == line.series]
            uids = [*dict.fromkeys(_value(item, STUDY) for item in listed if UID.fullmatch(_value(item, STUDY)))]
            if not filters:
                return uids, 0
            answers = [self._studies({**filters, "StudyInstanceUID": uid}, line, uid) for uid in uids]
            return [uid for studies, _ in answers for uid in studies], sum(others for _, others in answers)
        return self._studies(filters, line, line.study)

    def _studies(self, filters: Mapping[str, str], line: Line, study: str) -> tuple[list[str], int]:
        matching, others = self._studies_with(filters, line, study)
        loose = {name: _pattern(value) if name in _TEXTS else value for name, value in filters.items()}
        if not matching and loose != filters:
            return self._studies_with(loose, line, study)
        return matching, others

    def _studies_with(self, filters: Mapping[str, str], line: Line, study: str) -> tuple[list[str], int]:
        listed = self._listed(STUDY, self._client.search_for_studies, search_filters=dict(filters))
        matching = [item for item in listed if _matches(item, line, study)]
        return [_value(item, STUDY) for item in matching], len(listed) - len(matching)

    def series(self, study: str) -> list[SeriesFound]:
        """Return the series of a study, sorted by UID; none if the server says that it does not have it (404, 410).

        Raises
        ------
        QueryFailed
            If the server fails at it, or refuses this study alone.
        ServerProblem
            If it answers no query.
        """
        name, tag = _INSTANCES_OF_SERIES
        try:
            listed = self._listed(SERIES, self._client.search_for_series, study_instance_uid=study, fields=[name])
        except QueryRefused as problem:
            if not self._has_answered:  # is it this study, or the address? This ends the run if it is refused, too
                self._listed(STUDY, self._client.search_for_studies, search_filters={"StudyInstanceUID": study})
            if problem.status in _GONE:
                return []
            raise QueryFailed(str(problem)) from None
        found = [SeriesFound(_value(i, SERIES), _value(i, _MODALITY), _number(i, tag)) for i in listed]
        return sorted(found, key=lambda series: series.uid)

    def instances(self, study: str, series: str, stated: int | None) -> list[str]:
        """Return the SOP Instance UIDs of a series, sorted.

        Parameters
        ----------
        study, series : str
            UIDs.
        stated : int or None
            How many there should be: the server is not asked for a further page once it has named as many.

        Raises
        ------
        QueryFailed
            If the server fails at it, or refuses it: it has answered for the series.
        """
        try:
            listed = self._listed(
                INSTANCE,
                self._client.search_for_instances,
                enough=stated,
                study_instance_uid=study,
                series_instance_uid=series,
            )
        except QueryRefused as problem:
            raise QueryFailed(str(problem)) from None
        return sorted(_value(item, INSTANCE) for item in listed)

    def _listed(
        self, tag: str, search: Callable[..., list[Any]], enough: int | None = None, **arguments: Any
    ) -> list[dict[str, Any]]:
        """Return all pages of the answer to a query, each UID once.

        Without a limit, a server may send as many as it likes (PS3.18 8.3.4.4). It is asked for more until it names
        nothing new: one that does not know `offset` repeats itself.
        """
        found: dict[str, dict[str, Any]] = {}
        offset = 0
        for _ in range(_PAGES):
            try:
                with MinimumRate(3 * self._slow).limit():
                    page = search(offset=offset or None, **arguments)
                self._failures, self._has_answered = 0, True
            except requests.HTTPError as error:
                if offset and error.response is not None and error.response.status_code in (400, 404, 501):
                    break  # it does not know `offset`; the number of instances shows whether some are missing
                raise self._failed(_problem(error)) from None
            except (requests.RequestException, ValueError, OSError, urllib3.exceptions.HTTPError) as error:
                raise _problem(error) from None
            if not isinstance(page, list) or not all(isinstance(item, dict) for item in page):
                raise ServerProblem(_NO_ANSWER)
            if any(not UID.fullmatch(_value(item, tag)) for item in page):
                raise ServerProblem(_NO_ANSWER)
            new = {_value(item, tag): item for item in page if _value(item, tag) not in found}
            found |= new
            offset += len(page)
            if not new or enough is not None and len(found) == enough:
                break
        return [*found.values()]

    def _failed(self, problem: ServerProblem) -> ServerProblem:
        """Count a failed query; after several in a row, the server counts as down."""
        self._failures += isinstance(problem, QueryFailed)
        return ServerProblem(str(problem)) if self._failures >= FAILURES else problem

    # ---- Retrieval

    @contextlib.contextmanager
    def retrieve(self, study: str, series: str, instance: str = "") -> Iterator[Answer]:
        """Ask for the instances of a series, or for one of them.

        Yields
        ------
        Answer

        Raises
        ------
        ServerProblem
            If the server does not answer, or does not accept the credentials.
        """
        uri = URI(self._url, study, series, instance or None, permissive=True)
        headers = {"Accept": AS_STORED, "Accept-Encoding": "identity"}
        try:
            response = self._session.get(str(uri), headers=headers, stream=True, timeout=TIMEOUTS)
        except (requests.RequestException, ValueError, OSError, urllib3.exceptions.HTTPError) as error:
            raise _problem(error) from None
        with response:
            if response.status_code == 401:
                raise ServerProblem(_STATUSES[401])
            yield Answer(response, self._slow)


# ---- Values of a query


def _value(item: Mapping[str, Any], tag: str) -> str:
    """Return the first value of an attribute in the DICOM JSON Model (PS3.18 F.2) as text; empty if it has none."""
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    first = values[0] if isinstance(values, list) and values else ""
    return str(first).strip(" \0") if isinstance(first, (str, int)) else ""


def _pattern(text: str) -> str:
    return _ENCODED.sub("?", _FOREIGN.sub("*", text))


def _number(item: Mapping[str, Any], tag: str) -> int | None:
    text = _value(item, tag)
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def _matches(item: Mapping[str, Any], line: Line, study: str) -> bool:
    """Whether a study has the values that a line asks for."""
    pairs = ((STUDY, study), (_ACCESSION, line.accession), (_PATIENT, line.patient))
    if any(wanted and _value(item, tag) != wanted for tag, wanted in pairs):
        return False
    return not line.dates or line.dates[0] <= _value(item, _DATE) <= line.dates[1]


# ---- Problems, in fixed words

_TRICKLES = "the server sends next to nothing (less than 1 MB in 10 minutes); run the same command again later"
_NO_ANSWER = "the server's answer to a query is no DICOM JSON: is dicomweb.url the address of its DICOMweb service?"
_STATUSES = {
    401: f"the server does not accept the credentials (HTTP 401): set {USER} and {PASSWORD}, or {TOKEN}",
    403: "the server does not allow this account to query (HTTP 403): ask its administrator",
    404: "the server has nothing at this address (HTTP 404): is dicomweb.url the address of its DICOMweb service?",
    407: "a proxy asks for credentials (HTTP 407): check HTTPS_PROXY, or exempt the server by NO_PROXY",
}


def _problem(error: Exception) -> ServerProblem:
    """Return the problem that an error of a library means; its text, which holds the address, is dropped."""
    response = getattr(error, "response", None)
    if isinstance(error, requests.HTTPError) and response is not None:
        status = response.status_code
        if status >= 500:
            return QueryFailed(f"the server failed at a query (HTTP {status}); run the same command again later")
        text = _STATUSES.get(status, f"the server refused a query (HTTP {status})")
        is_refused = status == 403 or status in _GONE or status in _OF_VALUES
        return QueryRefused(text, status) if is_refused else ServerProblem(text)
    if isinstance(error, requests.exceptions.SSLError):
        return ServerProblem(
            "the certificate of the server is not trusted: set REQUESTS_CA_BUNDLE to the file of your site's CA"
        )
    if isinstance(error, requests.TooManyRedirects):
        return ServerProblem("the server sends to another address (HTTP 3xx): write its final address in dicomweb.url")
    if isinstance(error, requests.JSONDecodeError):
        return ServerProblem(_NO_ANSWER)
    if isinstance(error, (requests.exceptions.ProxyError,)):
        return ServerProblem("the proxy does not answer: check HTTPS_PROXY, or exempt the server by NO_PROXY")
    if isinstance(error, requests.Timeout | requests.ConnectionError | requests.exceptions.RetryError):
        return NoAnswer("the server does not answer; check dicomweb.url and the network, and repeat the command")
    if isinstance(error, requests.exceptions.ChunkedEncodingError | urllib3.exceptions.HTTPError):
        return NoAnswer("the server broke off an answer; run the same command again")
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return ServerProblem("the certificates in REQUESTS_CA_BUNDLE cannot be read: is its path right?")
    return ServerProblem("the server gave an answer that cannot be used; run the same command again")
