"""The frame around every servicer: what comes in is checked, what goes wrong gets a typed status.

A servicer is any object with methods named as in the .proto. Its methods take (request, context)
and raise `Refusal`, or any error with a `reason` of the table; they know nothing of statuses:

    unary-unary     async def Get(self, request, context) -> response
    unary-stream    async def Watch(self, request, context): yields responses
    stream-stream   async def Replicate(self, requests, context): yields responses; or a coroutine
                    that calls `await context.write(response)` and returns None

Bytes that are no message of the type (broken wire format, text that is not UTF-8) never reach a
servicer's unary method; in a stream of requests they raise from its iteration. Registering goes
through the service's descriptor rather than through generated code, which has no place to catch
either.

Invariant: a call ends with OK, with a reason of the table, or by cancellation; the text of an
error that nobody foresaw goes to the log under an id, never to the caller.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from inspect import isasyncgenfunction
from typing import Any, NoReturn

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from holdfast.host.refusal import Refusal, refusal_for

__all__ = ["Refusal", "UnknownMethods", "add_service", "handlers"]

Context = grpc.aio.ServicerContext[Any, Any]

_log = logging.getLogger(__name__)


class _Malformed:
    """Stands in a servicer's stead for a request that could not be read."""

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        self.what = what

    def refusal(self) -> Refusal:
        return Refusal("MALFORMED_REQUEST", f"the request cannot be read as a {self.what}")


OnRefusal = Callable[[str], None]
"""Told the reason of every call that is refused."""


def _nobody(_reason: str) -> None:
    return


def add_service(
    server: grpc.aio.Server, service: ServiceDescriptor, servicer: object,
    on_refusal: OnRefusal = _nobody,
) -> None:  # fmt: skip
    """Serves `servicer` as `service` (of a *_pb2 module: `DESCRIPTOR.services_by_name[...]`)."""
    server.add_generic_rpc_handlers((handlers(service, servicer, on_refusal),))


def handlers(
    service: ServiceDescriptor, servicer: object, on_refusal: OnRefusal = _nobody
) -> grpc.GenericRpcHandler:
    """The handlers of all methods of `service`.

    A method that the servicer lacks is refused as NOT_IMPLEMENTED.
    """
    frame = _Frame(on_refusal)
    by_name = {method.name: _handler(method, servicer, frame) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, by_name)


class UnknownMethods(grpc.GenericRpcHandler):
    """Refuses whatever no handler before it knows; add it last."""

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any]:
        refusal = Refusal("UNKNOWN_METHOD", f"there is no method {handler_call_details.method}")

        async def refuse(_requests: object, context: Context) -> None:
            await _abort(context, refusal)

        # Of all four shapes this one fits every call on the wire.
        return grpc.stream_stream_rpc_method_handler(refuse)


def _handler(method: MethodDescriptor, servicer: object, frame: _Frame) -> Any:
    call = getattr(servicer, method.name, None) or _not_implemented(method)
    if method.client_streaming:
        make, framed = grpc.stream_stream_rpc_method_handler, frame.streaming(call, _checked)
        assert method.server_streaming, f"{method.full_name}: nothing here streams only requests"
    elif method.server_streaming:
        make, framed = grpc.unary_stream_rpc_method_handler, frame.streaming(call, _parsed)
    else:
        make, framed = grpc.unary_unary_rpc_method_handler, frame.unary(call)
    response: Any = GetMessageClass(method.output_type)
    return make(
        framed,
        request_deserializer=_deserializer(method),
        response_serializer=response.SerializeToString,
    )


def _deserializer(method: MethodDescriptor) -> Callable[[bytes], Message | _Malformed]:
    parse = GetMessageClass(method.input_type).FromString
    malformed = _Malformed(method.input_type.full_name)

    def deserialize(data: bytes) -> Message | _Malformed:
        try:
            return parse(data)
        except (DecodeError, UnicodeDecodeError):  # the pure Python runtime raises the second
            return malformed

    return deserialize


class _Frame:
    """What is put around every method of a service."""

    def __init__(self, on_refusal: OnRefusal) -> None:
        self._on_refusal = on_refusal

    def unary(self, call: Callable[[Any, Context], Awaitable[Any]]) -> Callable[..., Any]:
        """The frame of a method with one request and one response."""

        async def frame(request: object, context: Context) -> Any:
            try:
                return await call(_parsed(request), context)
            except Exception as error:  # noqa: BLE001 - the last place that can give it a type
                await self._refuse(context, error, call)

        return frame

    def streaming(
        self, call: Callable[..., Any], check: Callable[[Any], Any]
    ) -> Callable[..., Any]:
        """The frame of a method that streams responses, whether it yields or writes them."""

        async def frame_of_generator(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            try:
                async with aclosing(call(check(request), context)) as responses:
                    async for response in responses:
                        yield response
            except Exception as error:  # noqa: BLE001 - the last place that can give it a type
                await self._refuse(context, error, call)

        async def frame_of_coroutine(request: Any, context: Context) -> None:
            try:
                await call(check(request), context)
            except Exception as error:  # noqa: BLE001 - the last place that can give it a type
                await self._refuse(context, error, call)

        return frame_of_generator if isasyncgenfunction(call) else frame_of_coroutine

    async def _refuse(
        self, context: Context, error: Exception, call: Callable[..., Any]
    ) -> NoReturn:
        refusal = _judge(error, call)
        self._on_refusal(refusal.reason)
        await _abort(context, refusal)


def _parsed(request: object) -> object:
    if isinstance(request, _Malformed):
        raise request.refusal()
    return request


async def _checked(requests: AsyncIterator[object]) -> AsyncGenerator[object, None]:
    async for request in requests:
        yield _parsed(request)


def _not_implemented(method: MethodDescriptor) -> Callable[[object, Context], Awaitable[Any]]:
    async def refuse(_request: object, _context: Context) -> NoReturn:
        raise Refusal("NOT_IMPLEMENTED", f"{method.full_name} is not built in this version")

    return refuse


def _judge(error: Exception, call: Callable[..., Any]) -> Refusal:
    """The refusal to answer with; what nobody foresaw is logged."""
    if isinstance(error, grpc.aio.AbortError):
        raise error  # the servicer has ended the call itself
    refusal = refusal_for(error)
    if refusal is not None and refusal.reason != "INTERNAL":
        return refusal
    incident = secrets.token_hex(4)
    name = getattr(call, "__qualname__", repr(call))
    _log.error("%s failed [%s]", name, incident, exc_info=error)
    message = f"the request failed; the log has the details under {incident}"
    return Refusal("INTERNAL", message, metadata={"incident": incident})


async def _abort(context: Context, refusal: Refusal) -> NoReturn:
    await context.abort(refusal.status, refusal.details, refusal.trailers())
