"""The fields of Gemini's requests. The service reads JSON as protobuf does: a field has a camelCase and a snake_case
name, a list of one may come without brackets, and a name that it does not know is an error that says where it is."""

from __future__ import annotations

import re
from typing import Any

from trunkline.sim.problems import Problem
from trunkline.sim.shapes import Shapes, fields, walk

Json = dict[str, Any]

SHAPES: Shapes = {
    "Generate": fields(
        plain="cachedContent model serviceTier labels store modelArmorConfig",
        contents="Content+", systemInstruction="Content", tools="Tool+", toolConfig="ToolConfig",
        safetySettings="Safety*", generationConfig="Generation",
    ),
    "Count": fields(plain="model", contents="Content+", generateContentRequest="Generate",
                    systemInstruction="Content", tools="Tool+", generationConfig="Generation", instances=""),
    "Embed": fields(plain="model taskType title outputDimensionality autoTruncate", content="Content",
                    embedContentConfig="EmbedConfig"),
    "EmbedConfig": fields(plain="taskType title outputDimensionality autoTruncate documentOcr audioTrackExtraction"),
    "EmbedBatch": fields(plain="model", requests="Embed*"),
    "Predict": fields(instances="Instance*", parameters="PredictParameters"),
    "Instance": fields(plain="content taskType title mimeType image text video"),
    "PredictParameters": fields(plain="outputDimensionality autoTruncate dimension"),
    "Content": fields(plain="role", parts="Part+"),
    "Part": fields(
        plain="text thought thoughtSignature mediaResolution partMetadata executableCode codeExecutionResult "
        "videoMetadata toolCall toolResponse",
        inlineData="Blob", fileData="File", functionCall="Call", functionResponse="Response",
    ),
    "Blob": fields(plain="mimeType data displayName"),
    "File": fields(plain="mimeType fileUri displayName"),
    "Call": fields(plain="id name args partialArgs willContinue"),
    "Response": fields(plain="id name response willContinue scheduling", parts="ResponsePart*"),
    "ResponsePart": fields(inlineData="Blob", fileData="File"),
    "Tool": fields(
        plain="googleSearch googleSearchRetrieval codeExecution urlContext googleMaps computerUse fileSearch retrieval "
        "enterpriseWebSearch mcpServers",
        functionDeclarations="Declaration*",
    ),
    "Declaration": fields(plain="name description parametersJsonSchema responseJsonSchema behavior",
                          parameters="Schema", response="Schema"),
    "ToolConfig": fields(plain="retrievalConfig includeServerSideToolInvocations", functionCallingConfig="Calling"),
    "Calling": fields(plain="mode allowedFunctionNames streamFunctionCallArguments"),
    "Safety": fields(plain="category threshold method"),
    "Generation": fields(
        plain="candidateCount stopSequences maxOutputTokens temperature topP topK seed presencePenalty "
        "frequencyPenalty responseLogprobs logprobs responseMimeType responseJsonSchema responseModalities "
        "mediaResolution speechConfig imageConfig audioTimestamp enableEnhancedCivicAnswers routingConfig "
        "modelSelectionConfig enableAffectiveDialog",
        responseSchema="Schema", thinkingConfig="Thinking",
    ),
    "Thinking": fields(plain="includeThoughts thinkingBudget thinkingLevel"),
    "Schema": fields(
        plain="type format title description nullable default enum maxItems minItems required minProperties "
        "maxProperties minLength maxLength pattern example propertyOrdering minimum maximum",
        properties="Schema%", items="Schema", anyOf="Schema*",
    ),
}  # fmt: skip
"""`Schema` is the subset of OpenAPI that `parameters` and `responseSchema` take: no `$ref`, `$defs`,
`additionalProperties`, `const`, `oneOf`. JSON schemas proper have fields of their own."""

_SNAKE = re.compile(r"_([a-z])")


def read(body: Json, shape: str) -> Json:
    """The request with camelCase names. Raises Problem for a field that the shape does not have."""
    result: Json = walk(body, shape, SHAPES, _unknown, _camel)
    return result


def _camel(name: str) -> str:
    return _SNAKE.sub(lambda found: found[1].upper(), name)


def _unknown(path: str, name: str) -> Problem:
    where = f" at '{_snake(path)}'" if path else ""
    said = f'Invalid JSON payload received. Unknown name "{name[:80]}"{where}: Cannot find field.'
    return Problem(said, param=_snake(path) or name[:80])


def _snake(path: str) -> str:
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", path)
