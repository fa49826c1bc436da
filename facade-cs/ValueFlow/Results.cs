using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>The core's results as values or exceptions.</summary>
internal static class Results
{
    public static T File<T>(FSharpResult<T, FSharpList<FileError>> result) =>
        result.IsOk
            ? result.ResultValue
            : throw new ModelFileException(
                [.. result.ErrorValue.Select(e => new FileProblem(e.File, e.Place, e.Line, e.Expected, e.Found))]
            );

    public static IReadOnlyList<string> Words(FSharpList<ModelError> errors) => [.. errors.Select(ModelErrorModule.describe)];

    public static T Model<T>(FSharpResult<T, FSharpList<ModelError>> result) =>
        result.IsOk ? result.ResultValue : throw new InvalidModelException(Words(result.ErrorValue));
}
