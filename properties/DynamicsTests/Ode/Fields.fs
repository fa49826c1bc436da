/// Fields with known solutions, and the random numbers that laws draw.
module ValueFlow.Tests.Dynamics.Ode.Fields

open FsCheck
open FsCheck.FSharp
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics

/// A batch of points in the plane.
let points (numbers: float[]) : torch.Tensor = (torch.tensor (numbers, dtype = torch.float64)).reshape [| -1L; 2L |]

let numbers (x: torch.Tensor) : float[] = x.detach().``to``(torch.float64).contiguous().data<float>().ToArray()

let apart (a: float[]) (b: float[]) : float = Array.map2 (fun x y -> abs (x - y)) a b |> Array.max

let private multiply (a: float[]) (b: float[]) : float[] =
    [|
        a[0] * b[0] + a[1] * b[2]
        a[0] * b[1] + a[1] * b[3]
        a[2] * b[0] + a[3] * b[2]
        a[2] * b[1] + a[3] * b[3]
    |]

/// exp(t A) for a 2 x 2 matrix, by scaling and squaring.
let exponential (a: float[]) (t: float) : float[] =
    let small = a |> Array.map ((*) (t / 16.0))
    let mutable term, sum = [| 1.0; 0.0; 0.0; 1.0 |], [| 1.0; 0.0; 0.0; 1.0 |]

    for k in 1..20 do
        term <- multiply term small |> Array.map (fun x -> x / float k)
        sum <- Array.map2 (+) sum term

    for _ in 1..4 do
        sum <- multiply sum sum

    sum

/// x' = A x.
let linear (a: float[]) : Field =
    let transposed = (torch.tensor (a, dtype = torch.float64)).reshape(2L, 2L).t().contiguous().DetachFromDisposeScope()
    Field.autonomous "linear" (fun x -> x.mm transposed)

/// Its solution.
let linearAt (a: float[]) (t: float) (x: float[]) : float[] =
    let e = exponential a t

    x
    |> Array.chunkBySize 2
    |> Array.collect (fun p -> [| e[0] * p[0] + e[1] * p[1]; e[2] * p[0] + e[3] * p[1] |])

/// x' = a cos(t) x, whose solution is x0 exp(a (sin t - sin t0)).
let swingingBy (a: float) : Field =
    Field.create "swinging" (fun t x ->
        Lifetime.keep (fun () ->
            let factor = Elementwise.times a (t.cos ())
            x.mul (if t.dim () = 0L then factor else factor.unsqueeze 1L)))

let swinging: Field = swingingBy 1.0

/// q' = p, p' = -sin q - p / 10.
let pendulum: Field =
    Field.autonomous "pendulum" (fun x ->
        Lifetime.keep (fun () ->
            let q, p = x.narrow (1L, 0L, 1L), x.narrow (1L, 1L, 1L)
            torch.cat ([| p; q.sin().neg().sub(Elementwise.times 0.1 p) |], 1L)))

/// x' = x^2: x0 / (1 - x0 t), infinite at 1 / x0.
let squared: Field = Field.autonomous "squared" (fun x -> x.mul x)

/// Random numbers of a law: a matrix, six points, two shares of a span.
type Draw = { Matrix: float[]; Points: float[]; Shares: float[] }

type Draws =
    static member Draw() : Arbitrary<Draw> =
        let number (bound: float) = Gen.choose (-1000, 1000) |> Gen.map (fun n -> bound * float n / 1000.0)

        let generator =
            gen {
                let! matrix = Gen.arrayOfLength 4 (number 1.5)
                let! points = Gen.arrayOfLength 12 (number 2.0)
                let! shares = Gen.arrayOfLength 2 (number 1.0)
                return { Matrix = matrix; Points = points; Shares = Array.map abs shares }
            }

        let shorter (values: float[]) =
            seq {
                for i in 0 .. values.Length - 1 do
                    if values[i] <> 0.0 then
                        Array.mapi (fun j x -> if i = j then 0.0 else x) values

                    if round values[i] <> values[i] then
                        Array.mapi (fun j x -> if i = j then round x else x) values
            }

        let shrink (draw: Draw) =
            seq {
                for matrix in shorter draw.Matrix do
                    { draw with Matrix = matrix }

                for points in shorter draw.Points do
                    { draw with Points = points }

                for shares in shorter draw.Shares do
                    { draw with Shares = shares }
            }

        Arb.fromGenShrink (generator, shrink)

/// The worst of all draws of a law is found by running it; a mutant must fail on one of a fixed number of draws.
let refuted (law: Draw -> bool) : bool = Gen.sample 30 (Draws.Draw().Generator) |> Seq.exists (fun draw -> not (law draw))

/// The numbers at the end of a solve.
let ends (options: OdeOptions) (field: Field) (x: float[]) (t0: float) (t1: float) : float[] =
    use x0 = points x
    use solution = Ode.solve options field x0 t0 t1
    numbers solution.Final

let tight: OdeOptions = OdeOptions.adaptive Scheme.dormandPrince8 1e-11
