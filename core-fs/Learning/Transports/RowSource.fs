namespace ValueFlow.Core.Learning

open System
open System.Runtime.InteropServices
open System.Security.Cryptography
open TorchSharp
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations

/// A law that rows are drawn from: a sample with replacement, or a law in closed form.
[<NoComparison; NoEquality>]
type RowSource =
    {
        /// What it is, data included: a run is resumed only from the same.
        Name: string
        /// Numbers in a row.
        Dimension: int
        /// So many rows, (count, d) in float32, from the generator alone.
        Draw: Generator -> int -> torch.Tensor
    }

/// Makes sources of rows.
[<RequireQualifiedAccess>]
module RowSource =

    /// Rows of a sample (row by row, <c>dimension</c> numbers each), drawn with replacement. The sample is copied. Throws an ArgumentException unless it has at least two rows,
    /// and at the first number that is not finite.
    let ofRows (name: string) (dimension: int) (rows: ReadOnlySpan<float32>) : RowSource =
        if dimension < 1 then
            invalidArg (nameof dimension) $"must be at least 1 but is {dimension}"

        if rows.Length % dimension <> 0 then
            invalidArg (nameof rows) $"must be whole rows of {dimension} numbers but are {rows.Length} numbers"

        if rows.Length < 2 * dimension then
            invalidArg (nameof rows) $"must be at least 2 rows but are {rows.Length / dimension}"

        let rows = rows.ToArray()

        match rows |> Array.tryFindIndex (Single.IsFinite >> not) with
        | Some index -> invalidArg (nameof rows) $"row {index / dimension}, column {index % dimension} must be finite but is {rows[index]}"
        | None -> ()

        let print = Convert.ToHexString(SHA256.HashData(MemoryMarshal.AsBytes(ReadOnlySpan rows))).Substring(0, 16)
        let count = rows.Length / dimension

        {
            Name = $"{name} ({count} rows, {print})"
            Dimension = dimension
            Draw =
                fun generator wanted ->
                    let drawn: float32[] = Array.zeroCreate (wanted * dimension)

                    for i in 0 .. wanted - 1 do
                        Array.blit rows (generator.Below count * dimension) drawn (i * dimension) dimension

                    Lifetime.keep (fun () -> (torch.tensor drawn).reshape(int64 wanted, int64 dimension))
        }

    /// The standard normal law.
    let normal (dimension: int) : RowSource =
        if dimension < 1 then
            invalidArg (nameof dimension) $"must be at least 1 but is {dimension}"

        {
            Name = $"N(0, I) in {dimension} dimensions"
            Dimension = dimension
            Draw = fun generator count -> Sampling.normals generator torch.float32 torch.CPU [| int64 count; int64 dimension |]
        }

    /// A mixture of normal laws, under a name that tells it from others.
    let mixture (name: string) (law: MixtureLaw) : RowSource =
        {
            Name = name
            Dimension = law.Dimension
            Draw = fun generator count -> Lifetime.keep (fun () -> (MixtureLaw.sample generator law count).``to`` torch.float32)
        }
