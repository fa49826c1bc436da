namespace ValueFlow.Core.Flows

open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic

/// Times as plain numbers and numbers as columns: schedules are evaluated in managed memory, and a batch meets them in one small tensor.
[<RequireQualifiedAccess>]
module internal TimeRows =

    /// Throws unless the points are a batch of rows of floating-point numbers.
    let requireBatch (name: string) (x: torch.Tensor) : unit =
        if x.dim () < 1L then
            invalidArg name "shape must have a batch dimension but the tensor is one number"

        if x.dtype <> torch.float32 && x.dtype <> torch.float64 then
            invalidArg name $"type must be Float32 or Float64 but is {x.dtype}"

    /// Throws unless the tensor has shape and type of the other.
    let requireLike (name: string) (x: torch.Tensor) (tensor: torch.Tensor) : unit =
        Shape.require name (List.ofArray x.shape) tensor
        Shape.requireType name x.dtype tensor

    /// The values of a tensor as float64, row by row.
    let values (tensor: torch.Tensor) : float[] =
        Lifetime.within (fun () -> (tensor.detach().``to``(torch.float64).cpu().contiguous()).data<float>().ToArray())

    /// The times of a batch: one number where t has no dimension, one for each row of x otherwise.
    let read (x: torch.Tensor) (t: torch.Tensor) : float[] =
        requireBatch "x" x

        if t.dim () <> 0L then
            Shape.require "t" [ x.shape[0] ] t

        Shape.requireType "t" x.dtype t
        values t

    /// One row of numbers for each list: (count, n, 1, ..., 1) in the type of x and on its device, n = 1 or the batch.
    let columns (x: torch.Tensor) (numbers: float[][]) : torch.Tensor =
        let shape = Array.create (int (x.dim ()) + 1) 1L
        shape[0] <- int64 numbers.Length
        shape[1] <- int64 numbers[0].Length
        Lifetime.keep (fun () -> torch.tensor(Array.concat numbers, dtype = x.dtype, device = x.device).reshape shape)

    let private isUsed (numbers: float[]) = numbers |> Array.exists (fun c -> c <> 0.0)

    /// Throws an ArgumentException at the first number that is not finite.
    let requireFinite (what: string) (times: float[]) (numbers: float[]) : unit =
        match numbers |> Array.tryFindIndex (System.Double.IsFinite >> not) with
        | Some row ->
            let place = if times.Length = 1 then "t" else $"t in row {row}"
            invalidArg "t" $"{place} must be a time where {what} is finite but is {times[row]}, where it is {numbers[row]}"
        | None -> ()

    /// sum_i c_i x_i row by row, in one fused call for each term; terms whose numbers are all zero are not read.
    let combine (like: torch.Tensor) (terms: (float[] * torch.Tensor) list) : torch.Tensor =
        Lifetime.keep (fun () ->
            match terms |> List.filter (fst >> isUsed) with
            | [] -> torch.zeros_like like
            | used ->
                let columns = columns like (used |> List.map fst |> Array.ofList)
                let tensors = used |> List.map snd
                let first: torch.Tensor = tensors.Head.mul columns[0L]

                tensors.Tail |> List.iteri (fun i tensor -> first.AddProduct(columns[int64 (i + 1)], tensor))

                first)
