namespace ValueFlow.Studies

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics
open ValueFlow.Studies.Ensembles

/// Reversible Heun: steps that are undone, gradients without memory of the way, and where the scheme is not stable.
[<Sealed>]
type ReversibleHeunStudy() =
    inherit
        Study(
            "reversible-heun",
            "dynamics",
            "Steps that can be undone",
            "Reversible Heun on a damped pendulum: the start comes back, gradients need no memory of the way; on y' = -5y it diverges where Heun does not."
        )

    // x'' = -sin x - 0.2 x'.
    static let pendulum =
        Field.autonomous "damped pendulum" (fun state ->
            Lifetime.keep (fun () ->
                let x, v = state.narrow (1L, 0L, 1L), state.narrow (1L, 1L, 1L)
                torch.cat ([| v; Elementwise.addTimes -0.2 v (x.sin().neg()) |], 1L)))

    static let grid (n: int) : float[] = Array.init (n + 1) (fun i -> 5.0 * float i / float n)
    static let apart (a: float[]) (b: float[]) : float = Array.map2 (fun x y -> abs (x - y)) a b |> Array.max

    static let ends (scheme: Scheme) (step: float) (field: Field) (x0: torch.Tensor) (from: float) (until: float) : float[] =
        use solution = Ode.solve (OdeOptions.fixedStep scheme step) field x0 from until
        numbers solution.Final

    // y' = -5y in steps of 0.1, by the recursion of both points: what any implementation of the scheme must give, up to rounding.
    static let recursion (steps: int) : float[] =
        let mutable x, y = 1.0, 1.0

        [|
            x

            for _ in 1..steps do
                let y' = 2.0 * x - y - 0.5 * y
                x <- x - 0.25 * (y + y')
                y <- y'
                x
        |]

    override _.Run(seed, _, progress, cancellation) =
        Tensors.prepare ()
        use _scope = torch.NewDisposeScope()
        use _quiet = torch.no_grad ()
        let generator = Generator seed
        let starts = Array.init 8 (fun _ -> 2.0 * generator.Uniform() - 1.0)
        let x0 = (torch.tensor (starts, dtype = torch.float64)).reshape [| 4L; 2L |]
        let terms = [ Term.time pendulum ]
        let exact = ends Scheme.dormandPrince8 0.005 pendulum x0 0.0 5.0
        let counts = [| 50; 100; 200; 400; 800 |]

        let rows =
            counts
            |> Array.map (fun n ->
                progress.Invoke $"{n} steps"
                cancellation.ThrowIfCancellationRequested()
                use final = ReversibleHeun.solve terms (grid n) x0
                use back = ReversibleHeun.reverse terms (grid n) final
                let heunEnd = ends Scheme.heun (5.0 / float n) pendulum x0 0.0 5.0
                let heunFinal = (torch.tensor (heunEnd, dtype = torch.float64)).reshape [| 4L; 2L |]

                {|
                    Error = apart exact (numbers final.X)
                    Returned = apart starts (numbers back.X)
                    HeunError = apart exact heunEnd
                    HeunReturned = apart starts (ends Scheme.heun (5.0 / float n) pendulum heunFinal 5.0 0.0)
                |})

        // L = sum x^3 / 3 of the end, for a pendulum with two parameters; the gradient without memory, and autograd through all steps.
        let rate = (torch.tensor ([| 0.8; -0.3 |], dtype = torch.float64)).requires_grad_ true

        let field =
            Field.autonomous "pendulum with parameters" (fun x ->
                Lifetime.keep (fun () -> Elementwise.sum ((pendulum.Apply (torch.tensor 0.0) x).mul rate) (x.mul (rate.sin ()))))

        let gradient n =
            let mutable alive = 0L
            let before = Lifetime.live ()

            let final, free =
                ReversibleHeun.gradient [ Term.time field ] [| rate |] (grid n) x0 (fun x ->
                    alive <- Lifetime.live () - before
                    x.mul x)

            (final :> IDisposable).Dispose()
            free, alive

        let free, aliveLong = gradient 200
        let _, aliveShort = gradient 50

        let stored =
            use _recording = torch.enable_grad ()
            let leaf = x0.clone().requires_grad_ true
            let direct = ReversibleHeun.solve [ Term.time field ] (grid 200) leaf
            (Elementwise.times (1.0 / 3.0) (direct.X.mul(direct.X).mul direct.X)).sum().backward()
            [| leaf.grad; rate.grad |] |> Array.collect (fun found -> numbers (nonNull found))

        let decay = Field.autonomous "decay" (fun x -> Elementwise.times -5.0 x)
        let one = torch.ones ([| 1L; 1L |], dtype = torch.float64)
        let times = Array.init 51 (fun i -> 0.1 * float i)

        let diverging =
            times
            |> Array.mapi (fun n _ ->
                use state = ReversibleHeun.solve [ Term.time decay ] times[..n] one
                (numbers state.X)[0])

        let pinned = recursion 50
        use own = Ode.solve { OdeOptions.fixedStep Scheme.heun 0.1 with Save = times } decay one 0.0 5.0
        let stable = own.Saved |> Array.map (fun x -> (numbers x)[0])
        let errors, returned = rows |> Array.map _.Error, rows |> Array.map _.Returned
        let steps = counts |> Array.map (fun n -> 5.0 / float n)
        let scheme = "Kidger, Foster, Li and Lyons 2021, Efficient and accurate gradients for neural SDEs"

        {
            Findings =
                [|
                    atMost
                        "the start of the damped pendulum comes back after 50 to 800 steps (largest error)"
                        1e-10
                        scheme
                        (Array.max returned)
                    equals
                        "the order on the pendulum (200 to 400 steps)"
                        2.0
                        0.1
                        $"closed form: {scheme}"
                        (Math.Log2(errors[2] / errors[3]))
                    atMost
                        "the gradient without memory is that of autograd through the stored steps (largest difference)"
                        1e-8
                        scheme
                        (apart (free |> Array.collect numbers) stored)
                    equals
                        "tensors alive at the end of the way: 200 steps less 50 steps"
                        0.0
                        0.0
                        $"closed form: nothing of the way is kept; {scheme}"
                        (float (aliveLong - aliveShort))
                    atMost
                        "y' = -5y in steps of 0.1: relative distance to the scheme's recursion after 50 steps"
                        1e-12
                        "closed form: the linear recursion of the two points"
                        (abs (diverging[50] / pinned[50] - 1.0))
                    atLeast
                        "... and there it has diverged: |y(5)|, where the solution is 1.4e-11"
                        1e7
                        "closed form: the scheme is stable on the imaginary axis only"
                        (abs diverging[50])
                    atMost "... while Heun's own scheme decays: |y(5)|" 1e-9 "closed form: 0.625^50" (abs stable[50])
                |]
            Tables =
                [|
                    table
                        "Damped pendulum, four starts, to t = 5 (largest errors)"
                        []
                        [
                            "steps", Array.map float counts
                            "error", errors
                            "error of the start, undone", returned
                            "error, Heun", rows |> Array.map _.HeunError
                            "error of the start, Heun backwards", rows |> Array.map _.HeunReturned
                        ]
                |]
            Figures =
                [|
                    LineFigure(
                        "Order 2, as Heun's own scheme",
                        "step (time units)",
                        "largest error at t = 5",
                        [| Worlds.curve "reversible Heun" steps errors; Worlds.curve "Heun" steps (rows |> Array.map _.HeunError) |],
                        true,
                        logarithmicX = true,
                        slopes = [| 2.0 |]
                    )
                    LineFigure(
                        "There and back",
                        "step (time units)",
                        "largest error of the recovered start",
                        [|
                            Worlds.curve "reversible Heun, undone" steps (returned |> Array.map (max 1e-17))
                            Worlds.curve "Heun, solved backwards" steps (rows |> Array.map _.HeunReturned)
                        |],
                        true,
                        logarithmicX = true
                    )
                    LineFigure(
                        "y' = -5y in steps of 0.1: the price of reversibility",
                        "t",
                        "|y|",
                        [|
                            Worlds.curve "reversible Heun" times (diverging |> Array.map abs)
                            Worlds.curve "Heun" times (stable |> Array.map abs)
                            Worlds.curve "exact" times (times |> Array.map (fun t -> exp (-5.0 * t)))
                        |],
                        true
                    )
                |]
            Notes =
                [|
                    "Undoing a step is the step's own algebra: what is lost is rounding, which grows as the solution grows. The scheme suits fields that turn, not fields that decay fast."
                |]
        }
