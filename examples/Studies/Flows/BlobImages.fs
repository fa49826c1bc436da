namespace ValueFlow.Studies

open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning

/// Small synthetic images: one bright blob on black, anywhere in the picture, larger or smaller.
[<RequireQualifiedAccess>]
module BlobImages =

    /// Pixels across and down.
    let side = 8

    /// Images as rows of 64 pixels, from -1 (black) to 1 (white): exp(-|p - c|^2 / (2 w^2)), centre c uniform in [0.5, 6.5]^2, width w uniform in [1, 1.6].
    let law: RowSource =
        {
            Name = "8 x 8 blobs"
            Dimension = side * side
            Draw =
                fun generator count ->
                    let pixels: float32[] = Array.zeroCreate (count * side * side)

                    for i in 0 .. count - 1 do
                        let x, y = 0.5 + 6.0 * generator.Uniform(), 0.5 + 6.0 * generator.Uniform()
                        let width = 1.0 + 0.6 * generator.Uniform()

                        for row in 0 .. side - 1 do
                            for column in 0 .. side - 1 do
                                let square = (float column - x) ** 2.0 + (float row - y) ** 2.0
                                pixels[(i * side + row) * side + column] <- float32 (2.0 * exp (-0.5 * square / (width * width)) - 1.0)

                    Lifetime.keep (fun () -> (torch.tensor pixels).reshape(int64 count, int64 (side * side)))
        }

    /// Whether a pixel lies in the half that is known: the left one.
    let isKnown (pixel: int) : bool = pixel % side < side / 2

    /// The mask of the known half, (count, 64).
    let mask (count: int) : torch.Tensor =
        let row = Array.init (side * side) (fun pixel -> if isKnown pixel then 1.0f else 0.0f)
        Lifetime.keep (fun () -> (torch.tensor row).reshape(1L, -1L).repeat(int64 count, 1L))

    /// The pixels of the half that is not known, (count, 32).
    let unknown (images: torch.Tensor) : torch.Tensor =
        Lifetime.keep (fun () ->
            let columns = [| 0 .. side * side - 1 |] |> Array.filter (isKnown >> not) |> Array.map int64
            images.index_select (1L, torch.tensor columns))
