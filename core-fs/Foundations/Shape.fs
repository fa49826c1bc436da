namespace ValueFlow.Core.Foundations

open TorchSharp

/// Shapes are checked before a native call: some of libtorch's own checks end the process.
[<RequireQualifiedAccess>]
module Shape =

    let private text (shape: seq<int64>) =
        shape
        |> Seq.map (fun size -> if size < 0L then "any" else string size)
        |> String.concat ", "
        |> sprintf "[%s]"

    /// Throws an ArgumentException that names <c>name</c> unless the tensor has the shape; a negative size stands for any size.
    let require (name: string) (expected: int64 list) (tensor: torch.Tensor) : unit =
        let found = tensor.shape

        let fits = found.Length = expected.Length && Seq.forall2 (fun size actual -> size < 0L || size = actual) expected found

        if not fits then
            invalidArg name $"shape must be {text expected} but is {text found}"

    /// Throws an ArgumentException that names <c>name</c> unless the tensor holds numbers of the type.
    let requireType (name: string) (expected: torch.ScalarType) (tensor: torch.Tensor) : unit =
        if tensor.dtype <> expected then
            invalidArg name $"type must be {expected} but is {tensor.dtype}"

    /// Throws an ArgumentException that names <c>name</c> unless the tensor has the shape and type of another one.
    let requireLike (name: string) (model: torch.Tensor) (tensor: torch.Tensor) : unit =
        require name (List.ofArray model.shape) tensor
        requireType name model.dtype tensor

    /// Throws an ArgumentException that names <c>name</c> and both lengths unless they agree.
    let requireLength (name: string) (expected: int) (found: int) : unit =
        if found <> expected then
            invalidArg name $"length must be {expected} but is {found}"

    /// Throws an ArgumentException that names the first entry that is not a finite number.
    let requireFinite (name: string) (values: float[]) : unit =
        match values |> Array.tryFindIndex (System.Double.IsFinite >> not) with
        | Some index -> invalidArg name $"entry {index} must be finite but is {values[index]}"
        | None -> ()
